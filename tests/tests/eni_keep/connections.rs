//! Long-lived connections by eth0, IPv4 and IPv6, which must not notice what happens to eth1.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    netns::Netns,
    session::{Session, Talked},
    topology::enis::{ETH0, Enis},
    traffic::SSH,
    wait,
};

const PATIENCE: Duration = Duration::from_secs(2);

/// Lines go there and back by each of them.
pub(crate) struct Connections<'a> {
    enis: &'a Enis,
    sessions: [Session; 2],
    lost: i64,
}

impl<'a> Connections<'a> {
    /// Opens them from outside.
    pub(crate) fn open(enis: &'a Enis) -> Result<Self> {
        let open = |addr: IpAddr| Session::open(&enis.srv, SocketAddr::new(addr, SSH));
        Ok(Self {
            enis,
            sessions: [open(ETH0.eip.into())?, open(ETH0.addr6.into())?],
            lost: lost(enis)?,
        })
    }

    /// Fails if a line was lost or late, or so much as a segment had to be sent again because it was.
    pub(crate) fn finish(self) -> Result<()> {
        for session in self.sessions {
            let Talked { lines, longest } = session.talked().context("a connection by eth0")?;
            ensure!(lines > 3, "{lines} lines had no time to suffer");
            ensure!(longest < PATIENCE, "a line by eth0 took {longest:?}");
        }
        // A segment that is sent again on its way may be reported after its line.
        wait::until(PATIENCE, "reports of what came twice", || {
            let lost = lost(self.enis)? - self.lost;
            ensure!(lost == 0, "{lost} segments by eth0 were lost");
            Ok(())
        })
    }
}

/// TCP segments that either side sent again so far and that did not come twice, which a DSACK reports (RFC 2883): on
/// a busy machine an answer may be late, and then is waited for no longer.
fn lost(enis: &Enis) -> Result<i64> {
    let of = |netns: &Netns| -> Result<i64> {
        let again = counter(netns, "snmp", "Tcp:", "RetransSegs")?;
        let twice = counter(netns, "netstat", "TcpExt:", "TCPDSACKRecv")?;
        Ok(again - twice)
    };
    Ok(of(&enis.srv)? + of(&enis.vm)?)
}

/// One of the kernel's counters: a line of names, and one of values.
fn counter(netns: &Netns, file: &str, group: &str, name: &str) -> Result<i64> {
    let path = format!("/proc/thread-self/net/{file}");
    let text = netns.enter(|| Ok(fs::read_to_string(&path)?))?;
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let mut both = names.split(' ').zip(values.split(' '));
    let found = both.find(|(found, _)| *found == name);
    let (_, value) = found.with_context(|| format!("the kernel counts no {name}"))?;
    Ok(value.parse()?)
}
