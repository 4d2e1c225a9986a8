//! Fragments of what no socket here would send so: TCP and ICMP, whose checksum is over all of it and has to be
//! right when they are put together, and protocols of which nothing behind the IP header may change.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Heard, Tap},
    ping::ping,
    scene::Scene,
    segment::{ACK, SYN, Segment},
    sender::speak_for,
};

use crate::{
    CLIENT_PORT, PORT, everywhere,
    orders::ORDERS,
    pieces::{Datagram, Sender, checksum, payload},
    server_addr,
    whole::SOON,
};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const GRE: u8 = 47;
const ESP: u8 = 50;
const SCTP: u8 = 132;

everywhere! {
    fragments_of_tcp_segments_pass_in_any_order_xdp: tcp, "xdp", Routed;
    fragments_of_tcp_segments_pass_in_any_order_tc: tcp, "tc", Routed;
    fragments_of_pings_pass_in_any_order_xdp: pings, "xdp", Routed;
    fragments_of_pings_pass_in_any_order_tc: pings, "tc", Routed;
    fragments_of_sctp_gre_and_esp_pass_unchanged_in_any_order_xdp: unchanged, "xdp", Routed;
    fragments_of_sctp_gre_and_esp_pass_unchanged_in_any_order_tc: unchanged, "tc", Routed;
}

/// The fragments themselves open each connection: data in a SYN (RFC 7413).
fn tcp(scene: &Scene) -> Result<()> {
    let ends = Ends::open(scene)?;
    for (id, order) in (1_u16..).zip(ORDERS) {
        let own = SocketAddrV4::new(scene.topology.clients[0].addr, CLIENT_PORT + id);
        let server = server_addr(scene);
        let segment = |src, dst, flags| Segment {
            data: payload(id.into(), 3501),
            ..Segment::new(src, dst, flags)
        };
        let cut = |segment: &Segment| Datagram {
            src: *segment.src.ip(),
            dst: *segment.dst.ip(),
            protocol: TCP,
            id,
            data: segment.packet().payload,
        };
        let sent = segment(own, server, SYN);
        let (came, from) = ends.out(&cut(&sent), order)?;
        ensure!(
            from == scene.topology.external,
            "{order:?} out, from {from}"
        );
        let external = SocketAddrV4::new(from, u16::from_be_bytes([came[0], came[1]]));
        let expected = Segment {
            src: external,
            ..sent
        };
        ensure!(came == expected.packet().payload, "{order:?} out");

        let answer = segment(server, external, SYN | ACK);
        let expected = Segment {
            dst: own,
            ..answer.clone()
        };
        let (came, from) = ends.back(&cut(&answer), order)?;
        ensure!(
            from == *server.ip() && came == expected.packet().payload,
            "{order:?} in, from {from}"
        );
    }
    ensure!(scene.gateway.flows()?.len() == ORDERS.len() + 1);
    Ok(())
}

/// The fragments themselves open each flow.
fn pings(scene: &Scene) -> Result<()> {
    let ends = Ends::open(scene)?;
    let topology = &scene.topology;
    let [client, server] = [topology.clients[0].addr, topology.server.addr];
    // The test answers.
    let silent = "net/ipv4/icmp_echo_ignore_all";
    topology.server.netns.sysctl(silent, "1")?;
    for (id, order) in (1_u16..).zip(ORDERS) {
        let echo = |kind: u8, identifier: u16| {
            let mut message = vec![kind, 0, 0, 0];
            message.extend(identifier.to_be_bytes());
            message.extend([0, 1]);
            message.extend(payload(id.into(), 3501));
            let sum = checksum(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            message
        };
        let datagram = |src, dst, data| Datagram {
            src,
            dst,
            protocol: ICMP,
            id,
            data,
        };
        let own = CLIENT_PORT + id;
        let (came, from) = ends.out(&datagram(client, server, echo(8, own)), order)?;
        let external = u16::from_be_bytes([came[4], came[5]]);
        ensure!(
            from == topology.external && came == echo(8, external),
            "{order:?} out, from {from}"
        );
        let answer = datagram(server, topology.external, echo(0, external));
        let (came, from) = ends.back(&answer, order)?;
        ensure!(
            from == server && came == echo(0, own),
            "{order:?} in, from {from}"
        );
    }
    ensure!(scene.gateway.flows()?.len() == ORDERS.len() + 1);
    Ok(())
}

/// Whatever checksums they have are not over addresses: if no byte changes, they are right.
fn unchanged(scene: &Scene) -> Result<()> {
    let ends = Ends::open(scene)?;
    let topology = &scene.topology;
    let [client, server] = [topology.clients[0].addr, topology.server.addr];
    for protocol in [SCTP, GRE, ESP] {
        for (id, order) in (1_u16..).zip(ORDERS) {
            let what = || format!("protocol {protocol}, {order:?}");
            let datagram = |src, dst, [from, to]: [u16; 2]| Datagram {
                src,
                dst,
                protocol,
                id,
                // SCTP's ports; to the others it is all the same.
                data: [
                    &from.to_be_bytes()[..],
                    &to.to_be_bytes(),
                    &payload(u64::from(protocol) + u64::from(id), 3500),
                ]
                .concat(),
            };
            let sent = datagram(client, server, [CLIENT_PORT, PORT]);
            let (came, from) = ends.out(&sent, order).with_context(what)?;
            ensure!(
                came == sent.data && from == topology.external,
                "{} out, from {from}",
                what()
            );
            let sent = datagram(server, topology.external, [PORT, CLIENT_PORT]);
            let (came, from) = ends.back(&sent, order).with_context(what)?;
            ensure!(
                came == sent.data && from == server,
                "{} in, from {from}",
                what()
            );
        }
    }
    Ok(())
}

/// Both ends send and hear packets as they are; their stacks stay out of it.
struct Ends {
    client: (Sender, Tap, Ipv4Addr),
    server: (Sender, Tap, Ipv4Addr),
}

impl Ends {
    fn open(scene: &Scene) -> Result<Self> {
        let topology = &scene.topology;
        let (client, server) = (&topology.clients[0], &topology.server);
        // What is dropped of a datagram keeps it from being put together.
        speak_for(&client.netns, CLIENT_PORT, CLIENT_PORT + 99)?;
        speak_for(&server.netns, PORT, PORT)?;
        ping(&client.netns, server.addr, 1, 1)?;
        Ok(Self {
            client: (
                Sender::open(&client.netns)?,
                Tap::open(&client.netns, "eth0")?,
                client.addr,
            ),
            server: (
                Sender::open(&server.netns)?,
                Tap::open(&server.netns, "eth0")?,
                server.addr,
            ),
        })
    }

    /// Sends it from the client in three fragments; what the server hears, put together, and from whom.
    fn out(&self, datagram: &Datagram, order: [usize; 3]) -> Result<(Vec<u8>, Ipv4Addr)> {
        send(&self.client.0, datagram, order)?;
        let (_, tap, addr) = &self.server;
        whole(tap, datagram.protocol, *addr).with_context(|| format!("{order:?} out"))
    }

    /// The other way.
    fn back(&self, datagram: &Datagram, order: [usize; 3]) -> Result<(Vec<u8>, Ipv4Addr)> {
        send(&self.server.0, datagram, order)?;
        let (_, tap, addr) = &self.client;
        whole(tap, datagram.protocol, *addr).with_context(|| format!("{order:?} in"))
    }
}

fn send(sender: &Sender, datagram: &Datagram, order: [usize; 3]) -> Result<()> {
    let pieces = datagram.cut(1400);
    ensure!(pieces.len() == order.len(), "{} pieces", pieces.len());
    sender.send(order.map(|at| &pieces[at]))
}

/// The next three fragments, which must be all there is of one datagram to `dst`.
fn whole(tap: &Tap, protocol: u8, dst: Ipv4Addr) -> Result<(Vec<u8>, Ipv4Addr)> {
    let mut pieces = Vec::new();
    for number in 0..3 {
        let what = format!("fragment {number} of protocol {protocol}");
        pieces.push(tap.next(&what, SOON, |heard| {
            (heard.protocol() == protocol).then(|| heard.clone())
        })?);
    }
    pieces.sort_by_key(offset);
    let first = &pieces[0];
    let mut data = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let is_last = number + 1 == pieces.len();
        ensure!(
            offset(piece) == data.len()
                && (piece.bytes[6] & 0x20 == 0) == is_last
                && piece.bytes[4..6] == first.bytes[4..6]
                && (piece.src(), piece.dst()) == (first.src(), dst),
            "not the fragments of one datagram: {:02x?}",
            pieces
                .iter()
                .map(|piece| &piece.bytes[..20])
                .collect::<Vec<_>>()
        );
        data.extend(piece.payload());
    }
    Ok((data, first.src()))
}

/// Where in the datagram a fragment's data belong.
pub(crate) fn offset(heard: &Heard) -> usize {
    usize::from(u16::from_be_bytes([heard.bytes[6] & 0x1f, heard.bytes[7]])) * 8
}
