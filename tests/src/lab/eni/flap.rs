//! A link that goes down and comes back, while the daemon watches and another connection goes on.

use std::{
    io,
    net::{SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Step, answers};
use crate::{
    eni::Snapshot,
    session::Session,
    topology::enis::{ETH0, ETH1, Enis, SERVER},
    traffic::{ECHO, SSH},
    wait,
};

/// What the contract gives the daemon.
const A_SECOND: Duration = Duration::from_secs(1);

pub(super) fn down_and_up(step: &mut Step, enis: &Enis) -> Result<()> {
    let before = Snapshot::take(&enis.vm)?;
    let session = Session::open(&enis.srv, SocketAddrV4::new(ETH0.eip, SSH))?;
    let leaving = enis.leaving(&[ETH0])?;

    enis.vm.ip("link set eth1 down")?;
    step.saw("vm", "ip link set eth1 down", true);
    let refused = speak_from_eth1(enis)?;
    let leaked: u64 = leaving
        .count()?
        .iter()
        .filter(|((_, source), _)| *source == ETH1.addr)
        .map(|(_, packets)| packets)
        .sum();
    step.saw(
        "vm",
        format!(
            "a program that sends from {} is told: {}; {leaked} packets left by eth0",
            ETH1.addr,
            refused
                .as_ref()
                .map_or_else(|| "sent".into(), ToString::to_string)
        ),
        refused.is_some() && leaked == 0,
    );

    enis.vm.ip("link set eth1 up")?;
    let up = Instant::now();
    wait::until(
        Duration::from_secs(10),
        "rules and routes come back",
        || Snapshot::take(&enis.vm)?.expect_as(&before),
    )?;
    let took = up.elapsed();
    step.saw(
        "vm",
        format!(
            "ip link set eth1 up; {} ms later rules and routes are as before",
            took.as_millis()
        ),
        took < A_SECOND,
    );
    let lines = session.finish()?;
    step.saw(
        "srv",
        format!(
            "its login to {}, open all the while: {lines} lines there and back",
            ETH0.eip
        ),
        lines > 10,
    );
    answers::each_by_its_own(step, enis)
}

/// The error that a program gets which sends from eth1's address.
fn speak_from_eth1(enis: &Enis) -> Result<Option<io::Error>> {
    enis.vm.enter(|| {
        let socket = UdpSocket::bind((ETH1.addr, 0))?;
        let sent = socket.send_to(b"from eth1", (SERVER, ECHO));
        Ok(sent.err())
    })
}
