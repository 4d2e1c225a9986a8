//! Long-lived connections by eth0, IPv4 and IPv6, which must not notice what happens to eth1.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    netns::Netns,
    session::Session,
    topology::enis::{ETH0, Enis},
    traffic::SSH,
};

/// Lines go there and back by each of them.
pub(crate) struct Connections<'a> {
    enis: &'a Enis,
    sessions: [Session; 2],
    retransmitted: u64,
}

impl<'a> Connections<'a> {
    /// Opens them from outside.
    pub(crate) fn open(enis: &'a Enis) -> Result<Self> {
        let open = |addr: IpAddr| Session::open(&enis.srv, SocketAddr::new(addr, SSH));
        Ok(Self {
            enis,
            sessions: [open(ETH0.eip.into())?, open(ETH0.addr6.into())?],
            retransmitted: retransmitted(enis)?,
        })
    }

    /// Fails if a line was lost, or so much as a segment had to be sent again.
    pub(crate) fn finish(self) -> Result<()> {
        for session in self.sessions {
            let lines = session.finish().context("a connection by eth0")?;
            ensure!(lines > 3, "{lines} lines had no time to suffer");
        }
        let again = retransmitted(self.enis)? - self.retransmitted;
        ensure!(again == 0, "{again} segments by eth0 had to be sent again");
        Ok(())
    }
}

/// TCP segments that either side had to send again so far.
fn retransmitted(enis: &Enis) -> Result<u64> {
    Ok(retransmitted_by(&enis.srv)? + retransmitted_by(&enis.vm)?)
}

fn retransmitted_by(netns: &Netns) -> Result<u64> {
    let text = netns.enter(|| Ok(fs::read_to_string("/proc/thread-self/net/snmp")?))?;
    let mut tcp = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (tcp.next().unwrap_or(""), tcp.next().unwrap_or(""));
    let mut both = names.split(' ').zip(values.split(' '));
    let found = both.find(|(name, _)| *name == "RetransSegs");
    Ok(found
        .context("the kernel counts no RetransSegs")?
        .1
        .parse()?)
}
