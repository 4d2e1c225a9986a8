//! Flows of a gateway's clients.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Capture,
    eni::{Connection, Seen, expect_by_eth1, seen_as},
    topology::two_enis::{ETH0, ETH1},
    wait,
};

use crate::gateway::{Gateway, MANY, MORE};

/// A second on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn flows_are_shared_and_stay_while_weights_change_and_an_eni_dies_xdp() -> Result<()> {
    shared("xdp", &ETH1_DIES)
}

#[test]
fn flows_are_shared_and_stay_while_weights_change_and_an_eni_dies_tc() -> Result<()> {
    shared("tc", &ETH1_DIES)
}

#[test]
fn so_it_is_when_the_eni_of_the_default_route_dies_xdp() -> Result<()> {
    shared("xdp", &ETH0_DIES)
}

#[test]
fn so_it_is_when_the_eni_of_the_default_route_dies_tc() -> Result<()> {
    shared("tc", &ETH0_DIES)
}

struct Death {
    dead: Ipv4Addr,
    other: Ipv4Addr,
    dies: &'static str,
    comes_back: &'static str,
}

const ETH1_DIES: Death = Death {
    dead: ETH1,
    other: ETH0,
    dies: "link set eth1 down",
    comes_back: "link set eth1 up",
};
/// What has made a default route makes it again.
const ETH0_DIES: Death = Death {
    dead: ETH0,
    other: ETH1,
    dies: "link set eth0 down",
    comes_back: "link set eth0 up\nroute add default via 203.0.113.1 metric 100",
};

fn shared(datapath: &str, death: &Death) -> Result<()> {
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

    gateway.netns().ip(death.dies)?;
    while_dead(&gateway, death, &first, &mut connections).context("while it is dead")?;
    gateway.netns().ip(death.comes_back)?;
    when_back(&gateway, death, &first, &mut connections).context("when it is back")?;

    let [by_eth0, by_eth1] = wires.map(Capture::finish);
    by_eth0?.expect_only_from(ETH0)?;
    by_eth1?.expect_only_from(ETH1)
}

fn while_dead(
    gateway: &Gateway,
    death: &Death,
    first: &Seen,
    connections: &mut [Connection],
) -> Result<()> {
    let clients = &gateway.clients;
    let begin = Instant::now();
    let mut fresh = (30_000..).step_by(20);
    wait::until(PATIENCE, "all new flows go by the other", || {
        let from = fresh.next().context("no ports left")?;
        death.expect_none(&clients.ask_at_once(from..from + 20)?)
    })?;
    let took = begin.elapsed().as_millis();
    println!("by {} alone {took} ms later", death.other);

    death.expect_none(&clients.ask(40_000..41_000)?)?;
    clients.expect_same(&seen_as(death.other, first))?;
    let lost = seen_as(death.dead, first);
    clients.expect_silence(lost.keys().copied().take(20))?;
    for connection in connections {
        if connection.addr == death.dead {
            connection.say()?;
        } else {
            connection.talk()?;
        }
    }
    Ok(())
}

fn when_back(
    gateway: &Gateway,
    death: &Death,
    first: &Seen,
    connections: &mut [Connection],
) -> Result<()> {
    let clients = &gateway.clients;
    clients.expect_answers(&seen_as(death.dead, first))?;
    let waiting = connections.iter_mut().filter(|one| one.addr == death.dead);
    for connection in waiting {
        connection.hear()?;
    }
    connections.iter_mut().try_for_each(Connection::talk)?;
    expect_by_eth1(&clients.ask(50_000..60_000)?, 75.0)
}

impl Death {
    fn expect_none(&self, seen: &Seen) -> Result<()> {
        let lost = seen_as(self.dead, seen);
        ensure!(lost.is_empty(), "by a dead ENI: {lost:?}");
        Ok(())
    }
}
