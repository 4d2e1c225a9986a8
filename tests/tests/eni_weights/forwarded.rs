//! Flows of a gateway's clients.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Capture,
    eni::{Connection, Seen, expect_by_eth1, seen_as},
    topology::two_enis::{ETH0, ETH1},
    wait,
};

use crate::gateway::{Gateway, MANY, MORE};

const A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn flows_are_shared_and_stay_while_weights_change_and_an_eni_dies_xdp() -> Result<()> {
    shared("xdp")
}

#[test]
fn flows_are_shared_and_stay_while_weights_change_and_an_eni_dies_tc() -> Result<()> {
    shared("tc")
}

fn shared(datapath: &str) -> Result<()> {
    let gateway = Gateway::sharing(datapath, [3, 1])?;
    let clients = &gateway.clients;
    let isp = &gateway.scene().topology.fabric[1];
    let wires = [Capture::start(isp, "gw0")?, Capture::start(isp, "gw1")?];

    let first = clients.ask(MANY)?;
    expect_by_eth1(&first, 25.0)?;
    let mut connections = clients.connect()?;

    gateway.apply([1, 3])?;
    clients.expect_same(&first)?;
    expect_by_eth1(&clients.ask(MORE)?, 75.0)?;
    connections.iter_mut().try_for_each(Connection::talk)?;

    without_eth1(&gateway, &first, &mut connections).context("without eth1")?;
    with_eth1_again(&gateway, &first, &mut connections).context("with eth1 again")?;

    let [by_eth0, by_eth1] = wires.map(Capture::finish);
    by_eth0?.expect_only_from(ETH0)?;
    by_eth1?.expect_only_from(ETH1)
}

fn without_eth1(gateway: &Gateway, first: &Seen, connections: &mut [Connection]) -> Result<()> {
    let clients = &gateway.clients;
    gateway.netns().ip("link set eth1 down")?;
    let begin = Instant::now();
    let mut fresh = (30_000..).step_by(20);
    wait::until(A_SECOND, "all new flows go by eth0", || {
        let from = fresh.next().context("no ports left")?;
        only_by_eth0(&clients.ask_at_once(from..from + 20)?)
    })?;
    let took = begin.elapsed();
    println!("by eth0 alone {} ms later", took.as_millis());
    ensure!(took < A_SECOND, "by eth0 alone only {took:?} later");

    only_by_eth0(&clients.ask_at_once(40_000..41_000)?)?;
    clients.expect_same(&seen_as(ETH0, first))?;
    let lost = seen_as(ETH1, first);
    clients.expect_silence(lost.keys().copied().take(20))?;
    for connection in connections {
        if connection.addr == ETH0 {
            connection.talk()?;
        } else {
            connection.say()?;
        }
    }
    Ok(())
}

fn with_eth1_again(gateway: &Gateway, first: &Seen, connections: &mut [Connection]) -> Result<()> {
    let clients = &gateway.clients;
    gateway.netns().ip("link set eth1 up")?;
    clients.expect_answers(&seen_as(ETH1, first))?;
    let waiting = connections.iter_mut().filter(|one| one.addr == ETH1);
    for connection in waiting {
        connection.hear()?;
    }
    connections.iter_mut().try_for_each(Connection::talk)?;
    expect_by_eth1(&clients.ask(50_000..60_000)?, 75.0)
}

fn only_by_eth0(seen: &Seen) -> Result<()> {
    let by_eth1 = seen_as(ETH1, seen);
    ensure!(by_eth1.is_empty(), "by a dead ENI: {by_eth1:?}");
    Ok(())
}
