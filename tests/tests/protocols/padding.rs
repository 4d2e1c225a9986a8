//! Frames longer than the packet in them, as Ethernet makes short ones.

use std::net::SocketAddrV4;

use anyhow::{Result, ensure};
use snat_tests::{
    capture::{Heard, Tap},
    raw::Packet,
    scene::Plan,
    segment::{ACK, SYN, Segment},
    sender::speak_for,
};

use crate::one_owner::{SOON, ends};

/// Not zeroes: a sum over them would not be right by chance.
const PADDING: [u8; 18] = [0xe7; 18];

#[test]
fn ethernet_padding_is_no_part_of_any_packet_xdp() -> Result<()> {
    padded("xdp")
}

#[test]
fn ethernet_padding_is_no_part_of_any_packet_tc() -> Result<()> {
    padded("tc")
}

/// Each twice each way: the first of a flow goes another way than the second.
fn padded(datapath: &str) -> Result<()> {
    let scene = Plan::routed(datapath).start()?;
    let topology = &scene.topology;
    let client = &topology.clients[0];
    let (server, ..) = ends(&scene)?;
    speak_for(&client.netns, 3000, 3000)?;
    // Next to the gateway: switch and router would take the padding off.
    let inside = Tap::open(&topology.fabric[0], "gw")?;
    let outside = Tap::open(&topology.fabric[1], "gw")?;
    let remote = SocketAddrV4::new(server, 9);
    let own = SocketAddrV4::new(client.addr, 3000);
    let gateway = |addr: [u8; 4]| [2, 0, addr[0], addr[1], addr[2], addr[3]];
    let (near, far) = (
        gateway(topology.gateway.addr.octets()),
        gateway(topology.external.octets()),
    );
    for (protocol, first, later) in [(6, SYN, ACK), (17, 0, 0), (1, 8, 8)] {
        let packet = |src: SocketAddrV4, dst: SocketAddrV4, flags: u8| match protocol {
            6 => Segment::new(src, dst, flags).packet(),
            17 => udp(src, dst),
            _ => {
                let identifier = if flags == 8 { src.port() } else { dst.port() };
                let rest = [&identifier.to_be_bytes()[..], &[0, 1, 0x33, 0x44]].concat();
                Packet::icmp(*src.ip(), *dst.ip(), flags, 0, &rest)
            }
        };
        let answer = if protocol == 1 { 0 } else { ACK };
        for flags in [first, later] {
            inside.send(near, &frame(&packet(own, remote, flags)))?;
            let heard = hear(&outside, protocol)?;
            ensure!(heard.src() == topology.external, "from {}", heard.src());
            let port = if protocol == 1 { 4 } else { 0 };
            let external = SocketAddrV4::new(heard.src(), heard.word(port));
            ensure!(heard.payload() == packet(external, remote, flags).payload);

            outside.send(far, &frame(&packet(remote, external, answer)))?;
            let heard = hear(&inside, protocol)?;
            ensure!(heard.dst() == client.addr, "to {}", heard.dst());
            ensure!(heard.payload() == packet(remote, own, answer).payload);
        }
    }
    Ok(())
}

fn hear(tap: &Tap, protocol: u8) -> Result<Heard> {
    let heard = tap.next(&format!("protocol {protocol}"), SOON, |heard| {
        let padded = !heard.padding().is_empty();
        (heard.protocol() == protocol && padded).then(|| heard.clone())
    })?;
    heard.expect_sound()?;
    ensure!(heard.padding() == PADDING, "{:02x?}", heard.padding());
    Ok(heard)
}

/// With an odd number of bytes, and a checksum.
fn udp(src: SocketAddrV4, dst: SocketAddrV4) -> Packet {
    let mut packet = Packet::udp(src, dst, 1);
    let sum = crate::datagrams::covered(&packet, 17, 9);
    packet.payload[6..8].copy_from_slice(&sum);
    packet
}

/// The packet as it is on a wire, from its IP header on, and the padding.
fn frame(packet: &Packet) -> Vec<u8> {
    let length = 20 + packet.payload.len() as u16;
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 7, 0x40, 0, packet.ttl, packet.protocol, 0, 0]);
    header.extend(packet.src.octets());
    header.extend(packet.dst.octets());
    let sum: u32 = header
        .chunks_exact(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header[..], &packet.payload, &PADDING].concat()
}
