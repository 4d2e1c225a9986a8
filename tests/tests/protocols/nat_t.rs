//! What IPsec peers behind a NAT send over UDP (RFC 3948): datagrams like any other.

use std::net::SocketAddrV4;

use anyhow::{Result, ensure};
use snat_tests::{raw::Packet, scene::Plan, sender::speak_for};

use crate::one_owner::{SOON, ends, next};

const UDP: u8 = 17;
const PORT: u16 = 4500;

#[test]
fn a_nat_t_keepalive_passes_untouched_xdp() -> Result<()> {
    keepalive("xdp")
}

#[test]
fn a_nat_t_keepalive_passes_untouched_tc() -> Result<()> {
    keepalive("tc")
}

/// IKE behind its marker of four zeroes, ESP, and the keepalive of one byte (RFC 3948 §2), which has no checksum
/// either.
fn keepalive(datapath: &str) -> Result<()> {
    let scene = Plan::routed(datapath).start()?;
    let client = &scene.topology.clients[0];
    let (server, outside, inside) = ends(&scene)?;
    speak_for(&scene.topology.server.netns, PORT, PORT)?;
    speak_for(&client.netns, PORT, PORT)?;
    let own = SocketAddrV4::new(client.addr, PORT);
    let remote = SocketAddrV4::new(server, PORT);
    let mut seen = None;
    for data in [
        &[0, 0, 0, 0, 7, 7, 7][..],
        &[0xff],
        &[0, 0, 16, 1, 0, 0],
        &[0xff],
    ] {
        let datagram = |src, dst| {
            let mut packet = Packet::udp(src, dst, data.len());
            packet.payload[8..].copy_from_slice(data);
            packet
        };
        datagram(own, remote).send(&client.netns)?;
        let external = outside.next(&format!("{data:02x?}"), SOON, |heard| {
            let external = SocketAddrV4::new(heard.src(), heard.ports().0);
            (heard.protocol() == UDP && heard.payload() == datagram(external, remote).payload)
                .then_some(external)
        })?;
        ensure!(*external.ip() == scene.topology.external);
        ensure!(*seen.get_or_insert(external) == external, "a new port");

        datagram(remote, external).send(&scene.topology.server.netns)?;
        let heard = next(&inside[0], UDP, &datagram(remote, own).payload)?;
        ensure!(heard.dst() == client.addr, "to {}", heard.dst());
    }
    let flows = scene.gateway.flows()?;
    let udp = flows.iter().filter(|flow| flow.protocol == "udp").count();
    ensure!(udp == 1, "{flows:?}");
    Ok(())
}
