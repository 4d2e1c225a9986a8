//! What these tests have in common: made-up first packets, and as whom the server sees them.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
};

use anyhow::{Result, ensure};
use snat_tests::{
    capture::{Heard, Tap},
    ping::ping,
    raw::Packet,
    scene::Scene,
    segment::{SYN, Segment},
    sender::{Sender, speak_for},
};

pub(crate) const MAPPINGS: [&str; 3] =
    ["endpoint-independent", "address-and-port-dependent", "auto"];

/// Protocols that have ports, or identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    Ping,
}
pub(crate) const KINDS: [Kind; 3] = [Kind::Tcp, Kind::Udp, Kind::Ping];

/// What every queue on the way has room for.
const BURST: usize = 256;

/// Who sent it, and where to: a client's endpoint, a server's.
pub(crate) type Flow = (Kind, SocketAddrV4, SocketAddrV4);

/// The server hears everything and says nothing.
pub(crate) struct Ground<'a> {
    scene: &'a Scene,
    outside: Tap,
    sender: Sender,
}

impl<'a> Ground<'a> {
    pub(crate) fn of(scene: &'a Scene) -> Result<Self> {
        let client = &scene.topology.clients[0];
        let server = &scene.topology.server;
        speak_for(&server.netns, 1, 65_535)?;
        // From here on the next hops are known.
        ping(&client.netns, server.addr, 9, 1)?;
        Ok(Self {
            scene,
            outside: Tap::open(&server.netns, "eth0")?,
            sender: Sender::open(&client.netns)?,
        })
    }

    /// Sends the first packet of each flow from the first client's machine. As whom the server saw them;
    /// those that never came are left out.
    pub(crate) fn seen(&self, flows: &[Flow]) -> Result<BTreeMap<Flow, SocketAddrV4>> {
        let topology = &self.scene.topology;
        let settle = || ping(&topology.clients[0].netns, topology.server.addr, 9, 1);
        for (at, flow) in flows.iter().enumerate() {
            self.sender.send(&first_packet(flow, at))?;
            if at % BURST == 0 {
                settle()?;
            }
        }
        settle()?;
        let mut seen = BTreeMap::new();
        for (at, external) in self.outside.all(|heard| {
            let at = usize::try_from(u32::from_be_bytes(tag(heard)?)).ok()?;
            Some((at, (external(heard), destination(heard))))
        })? {
            let Some(flow) = flows.get(at) else {
                continue;
            };
            let (external, to) = external;
            ensure!(
                to == flow.2 || flow.0 == Kind::Ping,
                "sent to {}, came to {to}",
                flow.2
            );
            seen.insert(*flow, external);
        }
        Ok(seen)
    }
}

/// With a number in its data that is the flow's.
fn first_packet(flow: &Flow, number: usize) -> Packet {
    let (kind, src, dst) = *flow;
    let tag = [b"flow", &(number as u32).to_be_bytes()[..]].concat();
    match kind {
        Kind::Tcp => {
            let mut segment = Segment::new(src, dst, SYN);
            segment.data = tag;
            segment.packet()
        }
        Kind::Udp => {
            let mut packet = Packet::udp(src, dst, tag.len());
            packet.payload[8..].copy_from_slice(&tag);
            packet
        }
        Kind::Ping => {
            let rest = [&src.port().to_be_bytes()[..], &[0, 1], &tag].concat();
            Packet::icmp(*src.ip(), *dst.ip(), 8, 0, &rest)
        }
    }
}

fn tag(heard: &Heard) -> Option<[u8; 4]> {
    let at = if heard.protocol() == 6 { 20 } else { 8 };
    let data = heard.payload().get(at..at + 8)?;
    data.strip_prefix(b"flow")?.try_into().ok()
}

fn external(heard: &Heard) -> SocketAddrV4 {
    let at = if heard.protocol() == 1 { 4 } else { 0 };
    SocketAddrV4::new(heard.src(), heard.word(at))
}

fn destination(heard: &Heard) -> SocketAddrV4 {
    SocketAddrV4::new(heard.dst(), heard.ports().1)
}

pub(crate) fn at(addr: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(addr, port)
}
