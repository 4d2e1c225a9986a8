//! A gateway as most are, and what it drops of clients and of the Internet.

use std::net::{SocketAddrV4, UdpSocket};

use anyhow::{Context as _, Result};
use snat_common::Verdict;
use snat_tests::{
    link::{connect, end},
    ping::ping,
    raw::Packet,
    scene::{Plan, Scene},
    segment::ACK,
};

use crate::{Provoked, SOON};

const PORT: u16 = 33_434;
/// Behind a route that no packet can take from here.
const TUNNEL: [u8; 4] = [192, 0, 2, 97];
/// Beyond an interface that is not the gateway's to manage.
const ASIDE: [u8; 4] = [192, 0, 2, 1];
const UDP: u8 = 17;
/// It signs the addresses: no NAT can carry it.
const AH: u8 = 51;

/// Builds it.
pub(crate) fn gateway(datapath: &str) -> Result<Scene> {
    let scene = Plan {
        sections: "\n[limits]\nfragments_per_source = 1\n",
        ..Plan::routed(datapath)
    }
    .start()?;
    let topology = &scene.topology;
    let (gw, isp) = (&topology.gateway.netns, &topology.fabric[1]);
    connect(
        end(gw, "eth2", [192, 0, 2, 2], 30),
        end(isp, "gw2", ASIDE, 30),
    )?;
    gw.ip("route add 192.0.2.96/27 encap ip id 7 dst 198.51.100.1 dev eth0")?;
    // Next hops are known.
    for client in &topology.clients {
        ping(&client.netns, topology.server.addr, 1, 1)?;
    }
    Ok(scene)
}

/// Has packets dropped, one for each of many reasons.
pub(crate) fn provoke(scene: &mut Scene) -> Result<Vec<Provoked>> {
    let server = SocketAddrV4::new(scene.topology.server.addr, PORT);
    let client = SocketAddrV4::new(scene.topology.clients[0].addr, 4000);
    let plain = Plain {
        mapped: open(scene, client, server)?,
        scene,
        client,
        server,
    };
    let sent = [
        plain.of_the_client()?,
        plain.of_the_server()?,
        vec![
            plain.broken_header()?,
            plain.broken_error()?,
            plain.second_owner()?,
            plain.dead_flow()?,
            plain.ended_flow()?,
            plain.second_datagram()?,
            plain.around_the_gateway()?,
            plain.larger_than_the_way()?,
        ],
    ];
    Ok(sent.concat())
}

/// A gateway with one flow through it.
pub(crate) struct Plain<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) client: SocketAddrV4,
    pub(crate) server: SocketAddrV4,
    /// As whom the server sees the client.
    pub(crate) mapped: SocketAddrV4,
}

impl Plain<'_> {
    fn of_the_client(&self) -> Result<Vec<Provoked>> {
        let (client, server) = (self.client, self.server);
        let (from, to) = (*client.ip(), *server.ip());
        let elsewhere = |dst: [u8; 4]| Packet::udp(client, SocketAddrV4::new(dst.into(), 53), 8);
        let gateway = self.scene.topology.gateway.addr;
        let sent = [
            (
                Verdict::MalformedTransport,
                Packet::new(from, to, UDP, vec![0; 4]),
            ),
            (
                Verdict::UnknownProtocol,
                Packet::new(from, to, AH, vec![0; 40]),
            ),
            (Verdict::IcmpType, Packet::icmp(from, to, 13, 0, &[0; 16])),
            (Verdict::TcpNoFlow, Packet::tcp(client, server, ACK)),
            (
                Verdict::SpoofedSource,
                Packet::udp(SocketAddrV4::new(gateway, 4000), server, 8),
            ),
            // RFC 3927 §2.7.
            (Verdict::Martian, elsewhere([169, 254, 7, 7])),
            (Verdict::Unreachable, elsewhere(TUNNEL)),
            (Verdict::UnmanagedEgress, elsewhere(ASIDE)),
            (
                Verdict::FragmentInvalid,
                Packet {
                    // Ends beyond 65,535 bytes.
                    fragment: 8189,
                    ..Packet::udp(client, server, 64)
                },
            ),
        ];
        let netns = &self.scene.topology.clients[0].netns;
        sent.iter()
            .map(|(reason, packet)| {
                packet.send(netns)?;
                Ok(dropped(*reason, packet))
            })
            .collect()
    }

    fn of_the_server(&self) -> Result<Vec<Provoked>> {
        let (server, mapped) = (self.server, self.mapped);
        let another = SocketAddrV4::new(*server.ip(), PORT + 1);
        let port = |port| SocketAddrV4::new(*mapped.ip(), port);
        let sent = [
            (Verdict::Filtered, Packet::udp(another, mapped, 8)),
            (Verdict::Unsolicited, Packet::udp(server, port(2000), 8)),
            (Verdict::StrayIn, Packet::tcp(server, port(2001), ACK)),
            (
                Verdict::TtlExpired,
                Packet {
                    // The provider's router, then the gateway.
                    ttl: 2,
                    ..Packet::udp(server, mapped, 8)
                },
            ),
        ];
        let netns = &self.scene.topology.server.netns;
        sent.iter()
            .map(|(reason, packet)| {
                packet.send(netns)?;
                Ok(dropped(*reason, packet))
            })
            .collect()
    }
}

pub(crate) fn dropped(reason: Verdict, packet: &Packet) -> Provoked {
    Provoked {
        reason,
        src: packet.src,
        dst: packet.dst,
    }
}

/// Opens a UDP flow; as whom the server sees the client.
pub(crate) fn open(
    scene: &Scene,
    client: SocketAddrV4,
    server: SocketAddrV4,
) -> Result<SocketAddrV4> {
    let bind = |netns: &snat_tests::netns::Netns, addr| {
        netns.enter(|| UdpSocket::bind(addr).with_context(|| format!("binding {addr}")))
    };
    let listener = bind(&scene.topology.server.netns, server)?;
    listener.set_read_timeout(Some(SOON))?;
    bind(&scene.topology.clients[0].netns, client)?.send_to(b"open", server)?;
    let (_, mapped) = listener.recv_from(&mut [0; 64]).context("opening a flow")?;
    match mapped {
        std::net::SocketAddr::V4(mapped) => Ok(mapped),
        std::net::SocketAddr::V6(other) => anyhow::bail!("IPv6: {other}"),
    }
}
