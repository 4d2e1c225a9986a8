//! UDP without a checksum, with more behind it, and UDP-Lite with part of it covered.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Result, ensure};
use snat_tests::{capture::Heard, ping::ping, raw::Packet, scene::Plan, sender::speak_for};

use crate::one_owner::{SOON, ends};

const UDP: u8 = 17;
const LITE: u8 = 136;

#[test]
fn udp_without_a_checksum_and_bytes_behind_a_datagram_stay_as_they_are_xdp() -> Result<()> {
    stays("xdp")
}

#[test]
fn udp_without_a_checksum_and_bytes_behind_a_datagram_stay_as_they_are_tc() -> Result<()> {
    stays("tc")
}

/// Both ways: 0 stays 0 (RFC 768), a sum that comes to 0 is 0xffff, options behind the datagram
/// (RFC 9868) are neither counted nor cut.
fn stays(datapath: &str) -> Result<()> {
    let scene = Plan::routed(datapath).start()?;
    let client = &scene.topology.clients[0];
    let (server, outside, inside) = ends(&scene)?;
    speak_for(&scene.topology.server.netns, 9, 9)?;
    speak_for(&client.netns, 3000, 3000)?;
    let own = SocketAddrV4::new(client.addr, 3000);
    let remote = SocketAddrV4::new(server, 9);
    let options: &[u8] = &[3, 8, 1, 2, 3, 4, 5, 6, 0, 1, 1];
    let mut external = own;
    for (data, behind, checked) in [
        (&b"data"[..], &[][..], false),
        (b"data", &[], true),
        (b"odd", &[], true),
        (b"data", options, false),
        (b"odd", options, true),
        (b"", options, true),
    ] {
        let what = format!("{data:?} and {behind:?}, checksum: {checked}");
        let datagram = |src: SocketAddrV4, dst: SocketAddrV4| {
            let mut packet = Packet::udp(src, dst, data.len());
            packet.payload[8..].copy_from_slice(data);
            if checked {
                let sum = covered(&packet, UDP, packet.payload.len());
                packet.payload[6..8].copy_from_slice(&sum);
            }
            packet.payload.extend(behind);
            packet
        };
        let hear = |heard: &Heard| (heard.protocol() == UDP).then(|| heard.clone());
        datagram(own, remote).send(&client.netns)?;
        let heard = outside.next(&what, SOON, hear)?;
        external = SocketAddrV4::new(heard.src(), heard.ports().0);
        ensure!(*external.ip() == scene.topology.external);
        expect(&heard, &datagram(external, remote), &what)?;

        datagram(remote, external).send(&scene.topology.server.netns)?;
        let heard = inside[0].next(&what, SOON, hear)?;
        expect(&heard, &datagram(remote, own), &what)?;
    }
    // Each sum there is, so one of them is the one that is written as 0xffff.
    let mut ones = 0;
    for word in 0..=u16::MAX {
        let mut packet = Packet::udp(own, remote, 2);
        packet.payload[8..].copy_from_slice(&word.to_be_bytes());
        let mut translated = packet.clone();
        translated.src = *external.ip();
        translated.payload[..2].copy_from_slice(&external.port().to_be_bytes());
        let sum = covered(&translated, UDP, 10);
        // The corner and some others, not 65,536 packets.
        if sum != [0xff, 0xff] && word % 4099 != 0 {
            continue;
        }
        ones += u32::from(sum == [0xff, 0xff]);
        let own_sum = covered(&packet, UDP, 10);
        packet.payload[6..8].copy_from_slice(&own_sum);
        translated.payload[6..8].copy_from_slice(&sum);
        packet.send(&client.netns)?;
        let heard = outside.next("a sum's corner", SOON, |heard| {
            (heard.protocol() == UDP).then(|| heard.clone())
        })?;
        expect(&heard, &translated, "a sum's corner")?;
    }
    ensure!(ones == 1, "{ones} sums came to 0");
    Ok(())
}

#[test]
fn udp_lite_is_translated_with_what_its_checksum_covers() -> Result<()> {
    let scene = Plan::routed("xdp").start()?;
    let [client, other] = &scene.topology.clients;
    let (server, outside, inside) = ends(&scene)?;
    let own = |addr| SocketAddrV4::new(addr, 3000);
    let remote = SocketAddrV4::new(server, 9);
    // 0 is all of it (RFC 3828, section 3.1).
    for coverage in [0, 8, 12, 13, 28] {
        let what = format!("coverage {coverage}");
        let datagram = |src: SocketAddrV4, dst: SocketAddrV4| {
            let mut packet = Packet::udp(src, dst, 20);
            packet.protocol = LITE;
            packet.payload[4..6].copy_from_slice(&(coverage as u16).to_be_bytes());
            packet.payload[8..].fill(0x37);
            let covers = if coverage == 0 { 28 } else { coverage };
            let sum = covered(&packet, LITE, covers);
            packet.payload[6..8].copy_from_slice(&sum);
            packet
        };
        let hear = |heard: &Heard| (heard.protocol() == LITE).then(|| heard.clone());
        let mut ports = Vec::new();
        for client in [client, other] {
            datagram(own(client.addr), remote).send(&client.netns)?;
            let heard = outside.next(&what, SOON, hear)?;
            let external = SocketAddrV4::new(heard.src(), heard.ports().0);
            ensure!(*external.ip() == scene.topology.external);
            expect(&heard, &datagram(external, remote), &what)?;
            ports.push(external);
        }
        ensure!(ports[0] != ports[1], "both clients are {}", ports[0]);
        datagram(remote, ports[0]).send(&scene.topology.server.netns)?;
        let heard = inside[0].next(&what, SOON, hear)?;
        expect(&heard, &datagram(remote, own(client.addr)), &what)?;
    }
    ping(&other.netns, server, 9, 1)?;
    let strayed = inside[1].all(|heard| (heard.protocol() == LITE).then_some(()))?;
    ensure!(strayed.is_empty(), "the other client heard it too");
    Ok(())
}

/// Fails unless a packet is what was expected, byte for byte.
fn expect(heard: &Heard, expected: &Packet, what: &str) -> Result<()> {
    let addresses: (Ipv4Addr, Ipv4Addr) = (heard.src(), heard.dst());
    ensure!(
        addresses == (expected.src, expected.dst) && heard.payload() == expected.payload,
        "{what}: {addresses:?} {:02x?} instead of {expected:02x?}",
        heard.payload()
    );
    Ok(())
}

/// The checksum of UDP and UDP-Lite over the first bytes, as it is sent. The field itself is 0 meanwhile.
pub(crate) fn covered(packet: &Packet, protocol: u8, covers: usize) -> [u8; 2] {
    let length = match protocol {
        UDP => covers,
        _ => packet.payload.len(),
    };
    let mut bytes = [packet.src.octets(), packet.dst.octets()].concat();
    bytes.extend([0, protocol]);
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend(&packet.payload[..6]);
    bytes.extend([0, 0]);
    bytes.extend(&packet.payload[8..covers]);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let mut sum: u32 = bytes
        .chunks_exact(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => [0xff, 0xff],
        sum => sum.to_be_bytes(),
    }
}
