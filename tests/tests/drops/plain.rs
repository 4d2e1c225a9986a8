//! A gateway as most are, and what it drops of clients and of the Internet.

use std::{
    mem::offset_of,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use etherparse::{IpNumber, Ipv4Header};
use snat_common::{FlowEntry, FlowKey, State, Verdict};
use snat_tests::{
    capture::Tap,
    link::{connect, end},
    ping::ping,
    raw::{DONT_FRAGMENT, MORE_FRAGMENTS, Packet},
    scene::{Plan, Scene},
    segment::ACK,
    wait,
};

use crate::{Provoked, SOON, counted};

const PORT: u16 = 33_434;
/// Behind a route that no packet can take from here.
const TUNNEL: [u8; 4] = [192, 0, 2, 97];
/// Beyond an interface that is not the gateway's to manage.
const ASIDE: [u8; 4] = [192, 0, 2, 1];
const UDP: u8 = 17;
const GRE: u8 = 47;
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
            plain.second_datagram()?,
            plain.around_the_gateway()?,
            plain.larger_than_the_way()?,
        ],
    ];
    Ok(sent.concat())
}

/// A gateway with one flow through it.
struct Plain<'a> {
    scene: &'a Scene,
    client: SocketAddrV4,
    server: SocketAddrV4,
    /// As whom the server sees the client.
    mapped: SocketAddrV4,
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

    /// Routers and bridges drop it as well: this one is from the next machine on the link.
    fn broken_header(&self) -> Result<Provoked> {
        let (src, dst) = (*self.server.ip(), *self.mapped.ip());
        let mut bytes = whole(src, dst);
        bytes[10] ^= 1;
        let isp = &self.scene.topology.fabric[1];
        Tap::open(isp, "gw")?.send(station(dst), &bytes)?;
        Ok(Provoked {
            reason: Verdict::MalformedIp,
            src,
            dst,
        })
    }

    fn broken_error(&self) -> Result<Provoked> {
        let quoted = whole(*self.mapped.ip(), *self.server.ip());
        let ports = [self.mapped.port(), self.server.port(), 8, 0].map(u16::to_be_bytes);
        let rest = [&[0; 4], &quoted[..20], &ports.concat()].concat();
        let router = Ipv4Addr::new(203, 0, 113, 1);
        let mut error = Packet::icmp(router, *self.mapped.ip(), 3, 1, &rest);
        error.payload[2] ^= 1;
        error.send(&self.scene.topology.fabric[1])?;
        Ok(dropped(Verdict::ErrorInvalid, &error))
    }

    fn second_owner(&self) -> Result<Provoked> {
        let [owner, second] = &self.scene.topology.clients;
        let gre = |src| Packet::new(src, *self.server.ip(), GRE, vec![0; 40]);
        gre(owner.addr).send(&owner.netns)?;
        wait::until(SOON, "the first has it", || {
            let flows = self.scene.gateway.flows()?;
            ensure!(flows.iter().any(|flow| flow.protocol == "gre"), "{flows:?}");
            Ok(())
        })?;
        gre(second.addr).send(&second.netns)?;
        Ok(dropped(Verdict::ProtocolTaken, &gre(second.addr)))
    }

    /// A flow is dead for a few microseconds before it is gone: too short to send into, so it is put there.
    fn dead_flow(&self) -> Result<Provoked> {
        const STATE_AT: usize = offset_of!(FlowEntry, state);
        const DST_PORT_AT: usize = offset_of!(FlowKey, dst_port);
        let src = SocketAddrV4::new(*self.client.ip(), 4002);
        let mapped = open(self.scene, src, self.server)?;
        let pin = self.scene.gateway.pins().join("FLOWS");
        let mut flows: HashMap<_, [u8; size_of::<FlowKey>()], [u8; size_of::<FlowEntry>()]> =
            HashMap::try_from(Map::HashMap(MapData::from_pin(pin)?))?;
        let entries: Vec<_> = flows.iter().collect::<Result<_, _>>()?;
        let is_in = |key: &[u8]| key[DST_PORT_AT..][..2] == mapped.port().to_ne_bytes();
        let (key, mut entry) = entries
            .into_iter()
            .find(|(key, _)| is_in(key))
            .context("no such flow")?;
        entry[STATE_AT] = State::Dead as u8;
        flows.insert(key, entry, 0)?;
        let answer = Packet::udp(self.server, mapped, 8);
        answer.send(&self.scene.topology.server.netns)?;
        Ok(dropped(Verdict::FlowVanishing, &answer))
    }

    /// One datagram in fragments a second is let through.
    fn second_datagram(&self) -> Result<Provoked> {
        let first = Packet {
            fragment: MORE_FRAGMENTS,
            ..Packet::udp(self.client, self.server, 64)
        };
        self.until_dropped(Verdict::FragmentLimit, || {
            let netns = &self.scene.topology.clients[0].netns;
            first.send(netns)?;
            first.send(netns)
        })?;
        Ok(dropped(Verdict::FragmentLimit, &first))
    }

    /// In by an interface without a program of ours: the stack would send it on as it is.
    fn around_the_gateway(&self) -> Result<Provoked> {
        let (src, dst) = (*self.client.ip(), *self.server.ip());
        let isp = &self.scene.topology.fabric[1];
        Tap::open(isp, "gw2")?.send(station([192, 0, 2, 2].into()), &whole(src, dst))?;
        Ok(Provoked {
            reason: Verdict::LeakStopped,
            src,
            dst,
        })
    }

    fn larger_than_the_way(&self) -> Result<Provoked> {
        let gw = &self.scene.topology.gateway.netns;
        // Locked: of a route's own MTU the kernel tells BPF no other.
        gw.ip(&format!(
            "route add {}/32 dev eth1 mtu lock 1300",
            self.client.ip()
        ))?;
        let packet = Packet {
            fragment: DONT_FRAGMENT,
            ..Packet::udp(self.server, self.mapped, 1400)
        };
        self.until_dropped(Verdict::TooBig, || {
            packet.send(&self.scene.topology.server.netns)
        })?;
        Ok(dropped(Verdict::TooBig, &packet))
    }

    fn until_dropped(&self, reason: Verdict, send: impl Fn() -> Result<()>) -> Result<()> {
        wait::until(SOON, &format!("{reason:?}"), || {
            send()?;
            let packets = counted(&self.scene.gateway, reason)?;
            ensure!(packets > 0, "none was dropped");
            Ok(())
        })
    }
}

fn dropped(reason: Verdict, packet: &Packet) -> Provoked {
    Provoked {
        reason,
        src: packet.src,
        dst: packet.dst,
    }
}

/// Opens a UDP flow; as whom the server sees the client.
fn open(scene: &Scene, client: SocketAddrV4, server: SocketAddrV4) -> Result<SocketAddrV4> {
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

/// A UDP datagram whose header is right.
fn whole(src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
    let header = Ipv4Header::new(8, 64, IpNumber::UDP, src.octets(), dst.octets());
    let mut header = header.expect("a short packet");
    header.header_checksum = header.calc_header_checksum();
    let ports = [4000, 53, 8, 0].map(u16::to_be_bytes);
    [&header.to_bytes()[..], &ports.concat()].concat()
}

/// The hardware address of the interface that has this one.
fn station(addr: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = addr.octets();
    [2, 0, a, b, c, d]
}
