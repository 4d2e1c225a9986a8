//! Clients' flows over two ENIs: shared by weight, each by the ENI that its external address belongs to, for ever.

mod ground;

use std::{net::Ipv4Addr, ops::Range, time::Duration};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{capture::Capture, traffic::ECHO, udp::UdpEcho, wait};

use self::ground::{Connection, ETH0, ETH1, Ground, Seen};

/// Ports of a client, each of which is a flow.
const MANY: Range<u16> = 10_000..20_000;
const MORE: Range<u16> = 20_000..30_000;
const LATE: Range<u16> = 30_000..30_500;
const TRIES: Range<u16> = 1_100..60_000;
const PATIENCE: Duration = Duration::from_secs(20);

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
    let _echo = UdpEcho::start(&ground.scene.topology.server.netns, ECHO)?;
    let isp = &ground.scene.topology.fabric[1];
    let wires = [Capture::start(isp, "gw0")?, Capture::start(isp, "gw1")?];

    ground.follow([3, 1])?;
    let first = ground.ask(MANY)?;
    ground.expect_share(&first, 25.0)?;
    let mut connections = ground.connect()?;

    ground.follow([1, 3])?;
    ensure!(ground.ask(MANY)? == first, "with other weights");
    ground.expect_share(&ground.ask(MORE)?, 75.0)?;
    connections.iter_mut().try_for_each(Connection::talk)?;

    without_eth1(&ground, &first, &mut connections).context("without eth1")?;
    with_eth1_again(&ground, &first, &mut connections).context("with eth1 again")?;

    let [by_eth0, by_eth1] = wires.map(Capture::finish);
    by_eth0?.expect_only_from(ETH0)?;
    by_eth1?.expect_only_from(ETH1)
}

fn without_eth1(ground: &Ground, first: &Seen, connections: &mut [Connection]) -> Result<()> {
    ground.lose_eth1()?;
    let kept = seen_as(ETH0, first);
    ensure!(ground.ask_all(kept.keys())? == kept, "others than before");
    ground.expect_silence(seen_as(ETH1, first).keys().take(20))?;
    for connection in connections {
        if connection.addr == ETH0 {
            connection.talk()?;
        } else {
            connection.say()?;
        }
    }
    let new = ground.ask(LATE)?;
    ensure!(seen_as(ETH1, &new).is_empty(), "by a dead ENI: {new:?}");
    Ok(())
}

fn with_eth1_again(ground: &Ground, first: &Seen, connections: &mut [Connection]) -> Result<()> {
    ground.restore_eth1()?;
    ground.expect_answers(&seen_as(ETH1, first))?;
    let waiting = connections.iter_mut().filter(|one| one.addr == ETH1);
    for connection in waiting {
        connection.hear()?;
    }
    connections.iter_mut().try_for_each(Connection::talk)
}

#[test]
fn flows_of_an_eni_that_is_unplugged_leave_by_no_other_xdp() -> Result<()> {
    unplugged("xdp")
}

#[test]
fn flows_of_an_eni_that_is_unplugged_leave_by_no_other_tc() -> Result<()> {
    unplugged("tc")
}

fn unplugged(datapath: &str) -> Result<()> {
    let ground = Ground::configured(datapath)?;
    let topology = &ground.scene.topology;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    // The gateway tells its datapath of the interfaces a moment after it is ready; older flows stay where they are.
    let mut few = TRIES.step_by(50).map(|first| first..first + 50);
    let lost = wait::until(PATIENCE, "flows by eth1", || {
        let ports = few.next().context("no more ports to try")?;
        let lost = seen_as(ETH1, &ground.ask(ports)?);
        ensure!(!lost.is_empty(), "all by eth0");
        Ok(lost)
    })?;
    let wire = Capture::start(&topology.fabric[1], "gw0")?;

    topology.gateway.netns.ip("link del eth1")?;
    wait::until(PATIENCE, "flows by eth1 are refused", || {
        ground.expect_silence(lost.keys().take(3))?;
        ensure!(ground.scene.gateway.verdict("unreachable")? > 0, "not yet");
        Ok(())
    })?;
    ground.expect_silence(lost.keys())?;
    let new = wait::until(PATIENCE, "new flows by eth0", || ground.ask(60_000..60_100))?;
    ensure!(seen_as(ETH1, &new).is_empty(), "by an ENI that is gone");
    wire.finish()?.expect_only_from(ETH0)
}

/// Those that have this external address.
fn seen_as(addr: Ipv4Addr, all: &Seen) -> Seen {
    let some = all.iter().filter(|(_, external)| *external.ip() == addr);
    some.map(|(port, external)| (*port, *external)).collect()
}
