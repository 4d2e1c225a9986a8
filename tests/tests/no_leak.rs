//! Nothing with a private source leaves, whatever it is and whatever has become of the hooks.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Capture, Direction, Report},
    gateway::Gateway,
    link::{connect, end},
    ping::ping,
    raw::{DONT_FRAGMENT, MORE_FRAGMENTS, Packet},
    topology::{Host, Offloads, Shape, Topology, unique_prefix},
    traffic::ECHO,
    udp::{self, UdpEcho},
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
        gateway: gw,
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
            "fragment",
            vec![
                datagram(MORE_FRAGMENTS),
                datagram(MORE_FRAGMENTS | 10),
                datagram(20),
            ],
        ),
        (
            "unknown_protocol",
            [47, 50, 51, 132, 4, 41, 2, 253].map(other).to_vec(),
        ),
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
    let spoofed = Packet {
        src: topology.external,
        ..datagram(0)
    };

    // Next hops are known: what is dropped is dropped for its own sake.
    ping(&client.netns, dst, 1, 1)?;
    let outside = outside(&topology)?;
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
    expired.send(&client.netns)?;
    if shape == Shape::Routed {
        spoofed.send(&client.netns)?;
    }
    // Behind all of these on every link: once it is answered, they would have been seen.
    ping(&client.netns, dst, 2, 3)?;
    let report = outside.finish()?;
    only_from_outside_addresses(&report, &topology)?;
    let answered = report
        .sources(Direction::In)
        .get(&visible(&topology, gw))
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

everywhere! {
    without_its_xdp_program_tc_translates_xdp_routed: tc_takes_over, "xdp", Routed;
    without_its_xdp_program_tc_translates_xdp_generic_one_arm: tc_takes_over, "xdp-generic", OneArm;
}

fn tc_takes_over(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, gateway) = start(datapath, shape)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let echo = SocketAddrV4::new(topology.server.addr, ECHO);
    let [first, second] = &topology.clients;
    let before = udp::exchange(&first.netns, echo, 4000, 3)?;
    let outside = outside(&topology)?;
    detach(&gateway, &["xdp"])?;
    let after = udp::exchange(&first.netns, echo, 4000, 3).context("the open flow")?;
    ensure!(after == before, "{before} became {after}");
    udp::exchange(&second.netns, echo, 4000, 3).context("a new flow")?;
    only_from_outside_addresses(&outside.finish()?, &topology)
}

everywhere! {
    without_its_way_in_the_way_out_is_guarded_routed: way_out_is_guarded, "xdp", Routed;
    without_its_way_in_the_way_out_is_guarded_one_arm: way_out_is_guarded, "tc", OneArm;
}

fn way_out_is_guarded(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, gateway) = start(datapath, shape)?;
    let client = &topology.clients[0];
    ping(&client.netns, topology.server.addr, 1, 1)?;
    detach(&gateway, &["xdp", "ingress"])?;
    let outside = outside(&topology)?;
    let from = SocketAddrV4::new(client.addr, 4000);
    for port in [53, 123, 4500] {
        let to = SocketAddrV4::new(topology.server.addr, port);
        Packet::udp(from, to, 10).send(&client.netns)?;
    }
    wait::until(SOON, "all are stopped on the way out", || {
        let stopped = gateway.verdict("leak_stopped")?;
        ensure!(stopped == 3, "{stopped} were");
        Ok(())
    })?;
    // The gateway's own packets are no clients'.
    ping(&topology.gateway.netns, topology.server.addr, 2, 1)?;
    only_from_outside_addresses(&outside.finish()?, &topology)
}

everywhere! {
    a_route_by_an_unmanaged_interface_is_no_way_out_xdp: unmanaged_way, "xdp", Routed;
    a_route_by_an_unmanaged_interface_is_no_way_out_tc: unmanaged_way, "tc", Routed;
}

fn unmanaged_way(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, gateway) = start(datapath, shape)?;
    let (gw, isp) = (&topology.gateway.netns, &topology.fabric[1]);
    connect(
        end(gw, "eth2", [192, 0, 2, 2], 30),
        end(isp, "gw2", [192, 0, 2, 1], 30),
    )?;
    let client = &topology.clients[0];
    ping(&client.netns, topology.server.addr, 1, 1)?;
    gw.ip("route add 198.51.100.0/24 via 192.0.2.1")?;
    let aside = Capture::start(isp, "gw2")?;
    let from = SocketAddrV4::new(client.addr, 4000);
    for port in [53, 123] {
        let to = SocketAddrV4::new(topology.server.addr, port);
        Packet::udp(from, to, 10).send(&client.netns)?;
    }
    Packet::new(client.addr, topology.server.addr, 47, vec![0; 40]).send(&client.netns)?;
    wait::until(SOON, "they are dropped and counted", || {
        let dropped = (
            gateway.verdict("unmanaged_egress")?,
            gateway.verdict("unknown_protocol")?,
        );
        ensure!(dropped == (2, 1), "{dropped:?}");
        Ok(())
    })?;
    ping(gw, [192, 0, 2, 1].into(), 2, 1)?;
    let sources = aside.finish()?.sources(Direction::In);
    ensure!(
        sources.keys().eq([&Ipv4Addr::new(192, 0, 2, 2)]),
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

/// Right behind the gateway, before anybody could mend what leaks.
fn outside(topology: &Topology) -> Result<Capture> {
    match topology.fabric.as_slice() {
        [_, edge] if edge.name().ends_with("edge") => Capture::start(edge, "vpc"),
        [_, isp] => Capture::start(isp, "gw"),
        _ => anyhow::bail!("an unknown topology"),
    }
}

/// As whom translated packets appear there.
fn visible(topology: &Topology, gateway: &Host) -> Ipv4Addr {
    if topology.interfaces.len() == 1 {
        gateway.addr
    } else {
        topology.external
    }
}

fn only_from_outside_addresses(report: &Report, topology: &Topology) -> Result<()> {
    report.expect_sound()?;
    let sources = report.sources(Direction::In);
    let only = visible(topology, &topology.gateway);
    ensure!(
        sources.keys().eq([&only]),
        "not only {only}: {:#?}",
        report.packets
    );
    Ok(())
}

fn routers_before(shape: Shape) -> u8 {
    match shape {
        Shape::OneArm => 2,
        Shape::Routed => 1,
    }
}

/// Takes hooks away as somebody might by hand, and waits until the kernel has let go of them.
fn detach(gateway: &Gateway, hooks: &[&str]) -> Result<()> {
    let before = gateway.objects()?;
    for entry in fs::read_dir(gateway.pins().join("links"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .context("a link's name")?;
        if hooks
            .iter()
            .any(|hook| name.starts_with(&format!("{hook}-")))
        {
            fs::remove_file(&path)?;
        }
    }
    let kept = gateway.objects()?.links;
    wait::until(SOON, "the links are gone", || {
        let alive = before.alive()?.links;
        ensure!(
            alive == kept && kept != before.links,
            "{alive:?}, kept {kept:?}"
        );
        Ok(())
    })
}
