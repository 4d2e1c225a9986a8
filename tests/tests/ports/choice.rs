//! Which address and port a client gets.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddrV4},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::scene::Plan;

use crate::ground::{Flow, Ground, KINDS, Kind, at};

#[test]
fn an_endpoint_keeps_its_port_whatever_the_destination_xdp() -> Result<()> {
    same_port_everywhere("xdp", "auto")
}

#[test]
fn an_endpoint_keeps_its_port_whatever_the_destination_tc() -> Result<()> {
    same_port_everywhere("tc", "endpoint-independent")
}

/// Of UDP, TCP and ICMP, while other clients have the same source port towards every second destination already.
fn same_port_everywhere(datapath: &str, mapping: &str) -> Result<()> {
    let scene = Plan {
        entry: &format!("mapping = {mapping:?}"),
        ..Plan::routed(datapath)
    }
    .start()?;
    let ground = Ground::of(&scene)?;
    let others = scene.more_clients(100..110)?;
    let mut servers = scene.more_servers(30..36)?;
    servers.push(scene.topology.server.addr);
    let destinations: Vec<SocketAddrV4> = servers
        .iter()
        .flat_map(|server| [80, 443, 9000].map(|port| at(*server, port)))
        .collect();
    for kind in KINDS {
        let every_second = destinations.iter().step_by(2);
        let held: Vec<Flow> = every_second
            .flat_map(|dst| {
                others
                    .iter()
                    .map(move |other| (kind, at(*other, 5000), *dst))
            })
            .collect();
        let held = ground.seen(&held)?;
        let client = at(scene.topology.clients[0].addr, 5000);
        let flows: Vec<Flow> = destinations
            .iter()
            .map(|dst| (kind, client, *dst))
            .collect();
        let seen = ground.seen(&flows)?;
        let distinct: BTreeSet<_> = seen.values().collect();
        ensure!(
            seen.len() == flows.len() && distinct.len() == 1,
            "{kind:?}: {seen:?}"
        );
        let mut owners: BTreeMap<SocketAddrV4, BTreeSet<SocketAddrV4>> = BTreeMap::new();
        for ((_, client, _), external) in held.iter().chain(&seen) {
            owners.entry(*external).or_default().insert(*client);
        }
        ensure!(
            owners.len() == others.len() + 1 && owners.values().all(|of| of.len() == 1),
            "{kind:?}: {owners:?}"
        );
    }
    Ok(())
}

#[test]
fn well_known_ports_stay_well_known_and_even_ports_even() -> Result<()> {
    for mapping in ["endpoint-independent", "address-and-port-dependent"] {
        let scene = Plan {
            entry: &format!("mapping = {mapping:?}\nports = \"512-1023,20000-20999\""),
            ..Plan::routed("tc")
        }
        .start()?;
        let ground = Ground::of(&scene)?;
        let client = scene.topology.clients[0].addr;
        let server = at(scene.topology.server.addr, 9000);
        // Fewer than there are of each sort.
        let ports = (1..200).chain(900..1100).chain(30_000..30_200);
        let flows: Vec<Flow> = ports
            .flat_map(|port| [Kind::Udp, Kind::Tcp].map(|kind| (kind, at(client, port), server)))
            .collect();
        let seen = ground.seen(&flows)?;
        ensure!(seen.len() == flows.len(), "{mapping}: {} left", seen.len());
        for ((kind, client, _), external) in seen {
            let (own, given) = (client.port(), external.port());
            ensure!(
                (own < 1024) == (given < 1024),
                "{mapping}: {kind:?} port {own} became {given}"
            );
            ensure!(
                kind == Kind::Tcp || own % 2 == given % 2,
                "{mapping}: {kind:?} port {own} became {given}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_client_keeps_one_of_several_addresses_for_all_protocols_and_all_of_them_are_used() -> Result<()>
{
    const ADDRESSES: [[u8; 4]; 4] = [
        [203, 0, 113, 21],
        [203, 0, 113, 22],
        [203, 0, 113, 23],
        [203, 0, 113, 31],
    ];
    let scene = Plan {
        external: "[\"203.0.113.21-203.0.113.23\", \"203.0.113.31\"]",
        addresses: &ADDRESSES,
        ..Plan::routed("xdp")
    }
    .start()?;
    let ground = Ground::of(&scene)?;
    let server = scene.topology.server.addr;
    let clients = scene.more_clients(100..180)?;
    let flows: Vec<Flow> = clients
        .iter()
        .flat_map(|client| {
            KINDS.into_iter().flat_map(move |kind| {
                [1000, 2000].map(|port| (kind, at(*client, port), at(server, port)))
            })
        })
        .collect();
    let seen = ground.seen(&flows)?;
    ensure!(seen.len() == flows.len(), "{} left", seen.len());
    let mut addresses: BTreeMap<Ipv4Addr, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for ((_, client, _), external) in &seen {
        addresses
            .entry(*client.ip())
            .or_default()
            .insert(*external.ip());
    }
    ensure!(addresses.values().all(|of| of.len() == 1), "{addresses:?}");
    // That 80 clients who each take one of four by chance leave one out happens once in 10^9 times.
    let used: BTreeSet<_> = addresses.values().flatten().copied().collect();
    ensure!(
        used == ADDRESSES.map(Ipv4Addr::from).into(),
        "only {used:?} are used"
    );
    Ok(())
}

#[test]
fn the_longest_source_prefix_of_all_entries_wins() -> Result<()> {
    let scene = Plan {
        entry: "ports = \"2000-2999\"",
        sections: r#"
[[snat]]
name     = "host"
source   = ["172.16.1.130/32"]
external = ["203.0.113.22"]
ports    = "4000-4999"

[[snat]]
name     = "half"
source   = ["172.16.1.128/25", "172.16.9.0/24"]
external = ["203.0.113.21"]
ports    = "3000-3999"
"#,
        addresses: &[[203, 0, 113, 21], [203, 0, 113, 22]],
        ..Plan::routed("xdp")
    }
    .start()?;
    let ground = Ground::of(&scene)?;
    scene.more_clients(127..132)?;
    let server = at(scene.topology.server.addr, 9000);
    let expected = [
        (127, [203, 0, 113, 10], 2000..3000),
        (128, [203, 0, 113, 21], 3000..4000),
        (129, [203, 0, 113, 21], 3000..4000),
        (130, [203, 0, 113, 22], 4000..5000),
        (131, [203, 0, 113, 21], 3000..4000),
    ];
    for kind in KINDS {
        for (host, external, ports) in &expected {
            let client = at(Ipv4Addr::new(172, 16, 1, *host), 7000);
            let flow = (kind, client, server);
            let seen = ground.seen(&[flow])?;
            let seen = seen.get(&flow).context("it never left")?;
            ensure!(
                seen.ip().octets() == *external && ports.contains(&seen.port()),
                "{kind:?} of {client} was seen as {seen}"
            );
        }
    }
    Ok(())
}
