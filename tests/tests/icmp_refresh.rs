//! ICMP errors neither keep a session alive nor end it (RFC 5508 REQ-6, RFC 4787 REQ-12, RFC 7857 §6.3).

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use etherparse::PacketBuilder;
use snat_tests::{
    ping::ping,
    raw::Packet,
    scene::{Plan, Scene},
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};

/// How long a session may be idle here.
const IDLE: Duration = Duration::from_secs(6);
const TIMEOUTS: &str = "\n[timeouts]\nudp = \"6s\"\nicmp = \"6s\"\n";
/// The client's port and identifier.
const OWN: u16 = 4321;
/// A router on the way.
const HOP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 99);

#[test]
fn errors_about_a_query_or_a_datagram_neither_refresh_nor_end_its_session_xdp() -> Result<()> {
    neither_refresh_nor_end("xdp")
}

#[test]
fn errors_about_a_query_or_a_datagram_neither_refresh_nor_end_its_session_tc() -> Result<()> {
    neither_refresh_nor_end("tc")
}

fn neither_refresh_nor_end(datapath: &str) -> Result<()> {
    let scene = Plan {
        sections: TIMEOUTS,
        ..Plan::routed(datapath)
    }
    .start()?;
    let (client, server) = (&scene.topology.clients[0], &scene.topology.server);
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    let begun = Instant::now();
    ping(&client.netns, server.addr, OWN, 1)?;
    udp::exchange(&client.netns, SocketAddrV4::new(server.addr, ECHO), OWN, 1)?;
    let before = sessions(&scene)?;
    ensure!(before.len() == 2, "{before:?}");
    let errors: Vec<_> = before
        .iter()
        .map(|session| errors(&scene, session))
        .collect::<Result<_>>()?;

    let mut looks = Vec::new();
    wait::until(
        2 * IDLE + IDLE / 2,
        "the sessions end, whatever comes",
        || {
            for [from_outside, from_inside] in &errors {
                from_outside.send(&server.netns)?;
                from_inside.send(&client.netns)?;
            }
            let left = sessions(&scene)?;
            let is_over = left.is_empty();
            looks.push((begun.elapsed(), left));
            ensure!(is_over, "{:?}", looks.last());
            Ok(())
        },
    )?;
    let early: Vec<_> = looks.iter().filter(|(when, _)| *when < IDLE).collect();
    ensure!(
        !early.is_empty() && early.iter().all(|(_, left)| *left == before),
        "errors ended a session or were counted in it: {before:?}, {early:?}"
    );
    // All of them found their sessions as long as those were there.
    for verdict in ["error_in", "error_out"] {
        let translated = scene.gateway.verdict(verdict)?;
        ensure!(
            translated >= 2 * early.len() as u64,
            "{translated} {verdict} of {} rounds",
            early.len()
        );
    }
    Ok(())
}

/// Protocol, external port or identifier, packets out and in.
type Session = (String, u16, u64, u64);

fn sessions(scene: &Scene) -> Result<Vec<Session>> {
    let mut sessions: Vec<_> = scene
        .gateway
        .flows()?
        .into_iter()
        .map(|flow| {
            (
                flow.protocol,
                flow.external_port,
                flow.packets_out,
                flow.packets_in,
            )
        })
        .collect();
    sessions.sort();
    Ok(sessions)
}

/// One from a router outside about what the client sent, and one from the client about what it was sent.
fn errors(scene: &Scene, (protocol, external, ..): &Session) -> Result<[Packet; 2]> {
    let topology = &scene.topology;
    let (client, server) = (topology.clients[0].addr, topology.server.addr);
    let quote = |src: Ipv4Addr, dst: Ipv4Addr, [from, to]: [u16; 2], is_answer: bool| {
        let builder = PacketBuilder::ipv4(src.octets(), dst.octets(), 9);
        let mut bytes = vec![0; 4];
        let written = match (protocol.as_str(), is_answer) {
            ("udp", _) => builder.udp(from, to).write(&mut bytes, &[]),
            (_, false) => builder.icmpv4_echo_request(from, 1).write(&mut bytes, &[]),
            (_, true) => builder.icmpv4_echo_reply(to, 1).write(&mut bytes, &[]),
        };
        written.context("a quoted packet").map(|()| bytes)
    };
    let sent = quote(topology.external, server, [*external, ECHO], false)?;
    let answered = quote(server, client, [ECHO, OWN], true)?;
    Ok([
        Packet::icmp(HOP, topology.external, 11, 0, &sent),
        Packet::icmp(client, server, 3, 3, &answered),
    ])
}
