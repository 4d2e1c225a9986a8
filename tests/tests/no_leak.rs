//! Nothing with a private source leaves, whatever it is.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::{Result, ensure};
use snat_tests::{
    capture::{Capture, Direction},
    gateway::Gateway,
    ping::ping,
    raw::{DONT_FRAGMENT, MORE_FRAGMENTS, Packet},
    topology::{Offloads, Shape, Topology, unique_prefix},
    wait,
};

const SOON: Duration = Duration::from_secs(5);
const UDP: u8 = 17;

macro_rules! everywhere {
    ($($name:ident: $test:ident, $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            $test($datapath, Shape::$shape)
        })+
    };
}

everywhere! {
    what_cannot_be_translated_stays_inside_xdp_routed: stays_inside, "xdp", Routed;
    what_cannot_be_translated_stays_inside_xdp_one_arm: stays_inside, "xdp", OneArm;
    what_cannot_be_translated_stays_inside_xdp_generic_routed: stays_inside, "xdp-generic", Routed;
    what_cannot_be_translated_stays_inside_tc_routed: stays_inside, "tc", Routed;
    what_cannot_be_translated_stays_inside_tc_one_arm: stays_inside, "tc", OneArm;
}

fn stays_inside(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, gateway) = start(datapath, shape)?;
    let Topology {
        clients: [client, _],
        server,
        ..
    } = &topology;
    let (src, dst) = (client.addr, server.addr);
    let from = SocketAddrV4::new(src, 4000);
    let to = SocketAddrV4::new(dst, 80);
    let datagram = |fragment| Packet {
        fragment,
        ..Packet::udp(from, to, 64)
    };
    let other = |protocol| Packet::new(src, dst, protocol, vec![0; 40]);
    // An error about a packet from outside, as a client's stack or router would send it.
    let about = [&[0; 4][..], &[0x45, 0, 0, 28], &[0; 16], &[0; 12]].concat();
    let (none, syn_ack, ack, fin_ack, rst) = (0x00, 0x12, 0x10, 0x11, 0x04);
    let cases = [
        (
            "fragment_held",
            vec![datagram(MORE_FRAGMENTS | 10), datagram(20)],
        ),
        ("fragment_invalid", vec![datagram(8189)]),
        ("unknown_protocol", [51, 4, 41, 2, 253].map(other).to_vec()),
        (
            "tcp_no_flow",
            [none, syn_ack, ack, fin_ack, rst]
                .map(|flags| Packet::tcp(from, to, flags))
                .to_vec(),
        ),
        (
            "icmp_type",
            vec![
                Packet::icmp(src, dst, 3, 1, &about),
                Packet::icmp(src, dst, 11, 0, &about),
                Packet::icmp(src, dst, 13, 0, &[0; 16]),
                Packet::icmp(src, dst, 0, 0, &[0; 4]),
            ],
        ),
        (
            "malformed_transport",
            vec![
                Packet::new(src, dst, UDP, vec![0; 4]),
                Packet::new(src, dst, 6, vec![0; 12]),
                Packet::new(src, dst, 1, vec![8; 4]),
            ],
        ),
    ];
    let expired = Packet {
        ttl: routers_before(shape),
        ..datagram(0)
    };
    let spoofed = |src| Packet { src, ..datagram(0) };

    // Next hops are known: what is dropped is dropped for its own sake.
    ping(&client.netns, dst, 1, 1)?;
    let (netns, dev) = topology.outside();
    let outside = Capture::start(netns, dev)?;
    for (verdict, packets) in &cases {
        let before = gateway.verdict(verdict)?;
        for packet in packets {
            packet.send(&client.netns)?;
        }
        wait::until(
            SOON,
            &format!("all {} are {verdict}", packets.len()),
            || {
                let counted = gateway.verdict(verdict)? - before;
                ensure!(counted == packets.len() as u64, "{counted} counted");
                Ok(())
            },
        )?;
    }
    let single = [
        ("ttl_to_stack", expired),
        ("spoofed_source", spoofed(topology.gateway.addr)),
    ];
    for (verdict, packet) in single {
        let before = gateway.verdict(verdict)?;
        packet.send(&client.netns)?;
        wait::until(SOON, &format!("it is {verdict}"), || {
            let counted = gateway.verdict(verdict)? - before;
            ensure!(counted == 1, "{counted} counted");
            Ok(())
        })?;
    }
    if shape == Shape::Routed {
        // In no client prefix, and the gateway's own: for the stack, which has no use for it either.
        spoofed(topology.external).send(&client.netns)?;
    }
    // Behind all of these on every link: once it is answered, they would have been seen.
    ping(&client.netns, dst, 2, 3)?;
    let report = outside.finish()?;
    report.expect_only_from(topology.translated())?;
    let answered = report
        .sources(Direction::In)
        .get(&topology.translated())
        .copied();
    ensure!(
        answered == Some(3),
        "{answered:?} packets left, not the last 3 echo requests"
    );
    Ok(())
}

everywhere! {
    options_and_odd_flags_are_translated_like_the_rest_xdp: odd_ones_are_translated, "xdp", OneArm;
    options_and_odd_flags_are_translated_like_the_rest_tc: odd_ones_are_translated, "tc", Routed;
}

fn odd_ones_are_translated(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, _gateway) = start(datapath, shape)?;
    let client = &topology.clients[0];
    let from = SocketAddrV4::new(client.addr, 4000);
    let to = SocketAddrV4::new(topology.server.addr, 9);
    let plain = Packet::udp(from, to, 33);
    let nops = |words: usize| Packet {
        options: vec![1; words * 4],
        ..plain.clone()
    };
    let packets = [
        nops(1),
        nops(5),
        nops(10),
        Packet {
            fragment: DONT_FRAGMENT,
            ..plain.clone()
        },
    ];
    ping(&client.netns, *to.ip(), 1, 1)?;
    let outside = Capture::start(&topology.server.netns, "eth0")?;
    for packet in &packets {
        packet.send(&client.netns)?;
    }
    ping(&client.netns, *to.ip(), 2, 1)?;
    let report = outside.finish()?;
    report.expect_sound()?;
    let sources = report.sources(Direction::In);
    let all = packets.len() as u64 + 1;
    ensure!(
        sources.len() == 1 && sources.get(&topology.external) == Some(&all),
        "{sources:?}"
    );
    Ok(())
}

fn start(datapath: &str, shape: Shape) -> Result<(Topology, Gateway)> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let gateway = Gateway::start(&topology, &format!("{prefix}leak"), datapath)?;
    Ok((topology, gateway))
}

fn routers_before(shape: Shape) -> u8 {
    match shape {
        Shape::OneArm => 2,
        Shape::Routed | Shape::TwoEnis => 1,
    }
}
