//! Connections that are opened from outside, or seem to be, and errors about those that are open.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Tap,
    raw::Packet,
    scene::Plan,
    segment::{ACK, SYN, Segment},
};

use crate::wire::{
    SOON,
    Step::{In, Out},
    Wire, endpoints,
};

/// RFC 5382 REQ-4.
const SILENCE: Duration = Duration::from_secs(6);

#[test]
fn an_unsolicited_syn_is_not_answered_for_six_seconds_and_the_client_s_own_opens_the_connection_xdp()
-> Result<()> {
    unsolicited_syn("xdp")
}

#[test]
fn an_unsolicited_syn_is_not_answered_for_six_seconds_and_the_client_s_own_opens_the_connection_tc()
-> Result<()> {
    unsolicited_syn("tc")
}

fn unsolicited_syn(datapath: &str) -> Result<()> {
    let wire = Wire::start(&Plan::routed(datapath))?;
    let known = wire.open(1)?;
    let (_, second) = wire.ends(2);
    let (_, third) = wire.ends(3);
    // To a port that is the client's, and to one that is nobody's.
    let nobody = SocketAddrV4::new(*known.external.ip(), known.external.port() ^ 2);
    let syns = [
        (second, known.external),
        (third, known.external),
        (third, nobody),
    ];
    let answered = Tap::open(&wire.scene.topology.server.netns, "eth0")?;
    let reached = Tap::open(&wire.scene.topology.clients[0].netns, "eth0")?;
    for (from, to) in syns {
        let syn = Segment::new(from, to, SYN).packet();
        wire.from_server.send(&syn)?;
    }
    let sent = Instant::now();

    // The client's SYN is on its way meanwhile: the old one is forgotten.
    let opened = wire.syn(known.client, second)?;
    ensure!(
        opened.external == known.external,
        "{opened:?} is not mapped as {known:?}"
    );
    wire.steps(&opened, &[In(SYN | ACK), Out(ACK)])?;
    while sent.elapsed() < SILENCE + SILENCE / 20 {
        let heard = answered.all(|heard| {
            let tcp = endpoints(heard).is_some_and(|(_, dst)| dst == third);
            (tcp || heard.protocol() == 1).then(|| heard.bytes.clone())
        })?;
        ensure!(
            heard.is_empty(),
            "answered within {:?}: {heard:02x?}",
            sent.elapsed()
        );
        std::thread::sleep(SILENCE / 60);
    }
    let reached = reached.all(|heard| endpoints(heard).filter(|(src, _)| *src == third))?;
    ensure!(reached.is_empty(), "a client heard of it: {reached:?}");
    ensure!(wire.scene.gateway.verdict("unsolicited")? == 1);
    ensure!(wire.scene.gateway.verdict("filtered")? == 2);
    ensure!(!wire.reach_client(&[opened])?.is_empty(), "{opened:?}");
    Ok(())
}

#[test]
fn no_icmp_error_ends_a_connection_and_each_reaches_its_client_xdp() -> Result<()> {
    errors_end_nothing("xdp")
}

#[test]
fn no_icmp_error_ends_a_connection_and_each_reaches_its_client_tc() -> Result<()> {
    errors_end_nothing("tc")
}

fn errors_end_nothing(datapath: &str) -> Result<()> {
    let wire = Wire::start(&Plan::routed(datapath))?;
    let connections = [wire.open(1)?, wire.syn(wire.ends(2).0, wire.ends(2).1)?];
    let before = states(&wire)?;
    let router = Ipv4Addr::new(198, 51, 100, 99);
    let all = [
        (3, 0),
        (3, 1),
        (3, 2),
        (3, 3),
        (3, 9),
        (3, 13),
        (11, 0),
        (11, 1),
    ];
    for connection in &connections {
        let quoted = quoted(connection.external, connection.server);
        for (kind, code) in all {
            let rest = [&[0; 4][..], &quoted].concat();
            Packet::icmp(router, *connection.external.ip(), kind, code, &rest)
                .send(&wire.scene.topology.server.netns)?;
            let heard = wire.inside.next(
                &format!("ICMP {kind}/{code} about {connection:?}"),
                SOON,
                |heard| {
                    let about = heard.payload().get(8..)?;
                    let this = heard.protocol() == 1
                        && heard.payload()[..2] == [kind, code]
                        && about.get(12..16)? == connection.client.ip().octets()
                        && about.get(20..22)? == connection.client.port().to_be_bytes();
                    this.then(|| heard.clone())
                },
            )?;
            heard.expect_sound()?;
            ensure!(heard.src() == router, "from {}", heard.src());
        }
    }
    let after = states(&wire)?;
    ensure!(before == after, "{before:?} became {after:?}");
    let [open, half] = connections;
    ensure!(!wire.reach_client(&[open])?.is_empty(), "{open:?}");
    wire.steps(&half, &[In(SYN | ACK), Out(ACK)])
        .context("the connection that was being opened")
}

/// States and counts of packets, by client's port.
fn states(wire: &Wire) -> Result<Vec<(u16, String, u64, u64)>> {
    let flows = wire.scene.gateway.flows()?.into_iter();
    let mut states: Vec<_> = flows
        .filter(|flow| flow.protocol == "tcp")
        .map(|flow| {
            (
                flow.client_port,
                flow.state,
                flow.packets_out,
                flow.packets_in,
            )
        })
        .collect();
    states.sort();
    Ok(states)
}

/// The first bytes of a segment, as an error quotes them.
fn quoted(src: SocketAddrV4, dst: SocketAddrV4) -> Vec<u8> {
    let segment = Segment::new(src, dst, ACK).packet();
    let mut header = vec![0x45, 0, 0, 40, 0, 7, 0, 0, 50, 6, 0, 0];
    header.extend(src.ip().octets());
    header.extend(dst.ip().octets());
    let sum: u32 = header
        .chunks_exact(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend(&segment.payload[..8]);
    header
}
