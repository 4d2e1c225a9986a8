//! Clients' flows over two ENIs: shared by weight, each by the ENI that its external address belongs to, for ever.

mod ground;

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Capture,
    eni::{Connection, Seen, expect_by_eth1, seen_as},
    topology::two_enis::{ETH0, ETH1},
};

use self::ground::Ground;

/// Ports of a client, each of which is a flow.
const MANY: Range<u16> = 10_000..20_000;
const MORE: Range<u16> = 20_000..30_000;
const LATE: Range<u16> = 30_000..30_500;

#[test]
fn flows_are_shared_by_weight_and_an_eni_that_dies_loses_its_own_xdp() -> Result<()> {
    shared("xdp")
}

#[test]
fn flows_are_shared_by_weight_and_an_eni_that_dies_loses_its_own_tc() -> Result<()> {
    shared("tc")
}

fn shared(datapath: &str) -> Result<()> {
    let ground = Ground::start(datapath)?;
    let isp = &ground.clients.scene.topology.fabric[1];
    let wires = [Capture::start(isp, "gw0")?, Capture::start(isp, "gw1")?];

    ground.follow([3, 1])?;
    let first = ground.clients.ask(MANY)?;
    expect_by_eth1(&first, 25.0)?;
    let mut connections = ground.clients.connect()?;

    ground.follow([1, 3])?;
    ground.clients.expect_same(&first)?;
    expect_by_eth1(&ground.clients.ask(MORE)?, 75.0)?;
    connections.iter_mut().try_for_each(Connection::talk)?;

    without_eth1(&ground, &first, &mut connections).context("without eth1")?;
    with_eth1_again(&ground, &first, &mut connections).context("with eth1 again")?;

    let [by_eth0, by_eth1] = wires.map(Capture::finish);
    by_eth0?.expect_only_from(ETH0)?;
    by_eth1?.expect_only_from(ETH1)
}

fn without_eth1(ground: &Ground, first: &Seen, connections: &mut [Connection]) -> Result<()> {
    ground.lose_eth1()?;
    ground.clients.expect_same(&seen_as(ETH0, first))?;
    let lost = seen_as(ETH1, first);
    ground
        .clients
        .expect_silence(lost.keys().copied().take(20))?;
    for connection in connections {
        if connection.addr == ETH0 {
            connection.talk()?;
        } else {
            connection.say()?;
        }
    }
    let new = ground.clients.ask(LATE)?;
    ensure!(seen_as(ETH1, &new).is_empty(), "by a dead ENI: {new:?}");
    Ok(())
}

fn with_eth1_again(ground: &Ground, first: &Seen, connections: &mut [Connection]) -> Result<()> {
    ground.restore_eth1()?;
    ground.clients.expect_answers(&seen_as(ETH1, first))?;
    let waiting = connections.iter_mut().filter(|one| one.addr == ETH1);
    for connection in waiting {
        connection.hear()?;
    }
    connections.iter_mut().try_for_each(Connection::talk)
}
