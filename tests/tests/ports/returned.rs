//! What is given back: when another may have it, and that all of it is.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::Gateway,
    netns::Netns,
    observe::bpftool,
    ping::ping,
    raw::Packet,
    scene::Plan,
    segment::{SYN, Segment},
    sender::Sender,
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};

use crate::ground::at;

const IDLE: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_secs(4);

#[test]
fn a_freed_port_rests_before_another_client_has_it_and_its_owner_keeps_it() -> Result<()> {
    let scene = Plan {
        entry: "mapping = \"endpoint-independent\"\nports = \"20000\"",
        sections: "\n[timeouts]\nudp = \"1s\"\nport_rest = \"4s\"\n",
        ..Plan::routed("xdp")
    }
    .start()?;
    let _echo = UdpEcho::start(&scene.topology.server.netns, ECHO)?;
    let server = at(scene.topology.server.addr, ECHO);
    let [first, second] = &scene.topology.clients;
    udp::exchange(&first.netns, server, 3000, 1)?;
    wait::until(Duration::from_secs(5), "the flow ends", || {
        ensure!(scene.gateway.flows()?.is_empty());
        Ok(())
    })?;
    // Its owner comes back; the rest begins anew after that.
    let used = Instant::now();
    udp::exchange(&first.netns, server, 3000, 1)?;
    wait::until(4 * REST, "the other client has the port", || {
        once(&second.netns, server.port(), *server.ip())
    })?;
    let waited = used.elapsed();
    ensure!(waited >= IDLE + REST, "after {waited:?}");
    Ok(())
}

fn once(netns: &Netns, port: u16, server: Ipv4Addr) -> Result<()> {
    netns.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 3000))?;
        socket.connect((server, port))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.send(b"?")?;
        socket.recv(&mut [0; 64]).context("no answer")?;
        Ok(())
    })
}

/// Timeouts, then a client's rest of 17 seconds, then the daemon's sweep.
const ALL_GONE: Duration = Duration::from_secs(40);

#[test]
fn flows_mappings_clients_and_ports_return_to_nothing_when_all_is_over() -> Result<()> {
    let timeouts = [
        "tcp_opening",
        "tcp_established",
        "tcp_closing",
        "udp",
        "icmp",
        "other",
    ];
    let lines: String = timeouts.map(|name| format!("{name} = \"1s\"\n")).concat();
    let sections = format!("\n[timeouts]\n{lines}port_rest = \"1s\"\n");
    let scene = Plan {
        // The second half finds its ports shared.
        entry: "ports = \"20000-20099\"\nfiltering = \"address-dependent\"",
        sections: &sections,
        ..Plan::routed("xdp")
    }
    .start()?;
    let server = scene.topology.server.addr;
    let clients = scene.more_clients(100..110)?;
    let sender = Sender::open(&scene.topology.clients[0].netns)?;
    for port in 0..2 {
        for (number, client) in (0..200).zip(clients.iter().cycle()) {
            let from = at(*client, 3000 + number);
            sender.send(&Packet::udp(from, at(server, 9000 + port), 5))?;
            sender.send(&Segment::new(from, at(server, 9000 + port), SYN).packet())?;
        }
    }
    for protocol in [47, 50] {
        sender.send(&Packet::new(clients[0], server, protocol, vec![0; 20]))?;
    }
    ping(&scene.topology.clients[1].netns, server, 7, 3)?;
    let status = scene.gateway.ctl_json(&["status"])?;
    let used = |what: &str| status[what]["used"].as_u64().unwrap_or_default();
    ensure!(
        used("flows") > 400 && used("mappings") > 200 && used("clients") == 11,
        "{status:#}"
    );

    wait::until(ALL_GONE, "nothing is left", || {
        for map in ["FLOWS", "MAPPINGS", "CLIENTS"] {
            let path = scene.gateway.pins().join(map);
            let left = bpftool(&["map", "dump", "pinned", path.to_str().context("path")?])?;
            let left = left.as_array().context("no dump")?;
            ensure!(left.is_empty(), "{} in {map}", left.len());
        }
        Ok(())
    })?;
    let status = scene.gateway.ctl_json(&["status"])?;
    for what in ["flows", "mappings", "clients"] {
        ensure!(status[what]["used"] == 0, "{status:#}");
    }
    let ports = status["ports"].as_array().context("no ports")?;
    ensure!(ports.iter().all(|ports| ports["used"] == 0), "{ports:?}");
    let happened = &status["events"];
    ensure!(
        happened["flow_opened"] == happened["flow_removed"]
            && happened["mapping_made"] == happened["mapping_removed"],
        "{happened}"
    );
    let left = counted(&scene.gateway)?;
    ensure!(left == (0, 0), "flows and clients are counted: {left:?}");
    Ok(())
}

/// Flows and clients as the datapath counts them for itself.
pub(crate) fn counted(gateway: &Gateway) -> Result<(u64, u64)> {
    let map = gateway.pins().join("SHARED");
    let shared = bpftool(&["map", "dump", "pinned", map.to_str().context("path")?])?;
    let of = |name| {
        let count = &shared[0]["formatted"]["value"][name];
        count
            .as_u64()
            .with_context(|| format!("no {name} in {shared}"))
    };
    Ok((of("flows")?, of("clients")?))
}
