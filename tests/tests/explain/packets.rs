//! Packets with a number in them, and the question about each.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::Result;
use snat_tests::{
    capture::Heard,
    raw::{DONT_FRAGMENT, Packet},
};

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const GRE: u8 = 47;
pub(crate) const ESP: u8 = 50;
pub(crate) const AH: u8 = 51;
pub(crate) const SCTP: u8 = 132;
pub(crate) const UDP_LITE: u8 = 136;

const MARK: [u8; 4] = *b"case";
const TAG: usize = MARK.len() + 4;

/// Where a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The clients' network.
    Inside,
    /// The way to the Internet.
    Outside,
    /// An interface that the gateway does not manage.
    Beside,
}

/// A packet to be explained and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) side: Side,
    pub(crate) protocol: u8,
    pub(crate) src: SocketAddrV4,
    pub(crate) dst: SocketAddrV4,
    pub(crate) ttl: u8,
    /// Length of the IP packet; 0 for the smallest.
    pub(crate) size: u16,
    pub(crate) dont_fragment: bool,
    pub(crate) flags: u8,
}

impl Case {
    /// Bytes of its IP packet.
    pub(crate) fn len(&self) -> u16 {
        self.size.max((20 + header(self.protocol) + TAG) as u16)
    }

    /// The arguments of `explain` for it, in by `interface`.
    pub(crate) fn question(&self, interface: &str) -> Vec<String> {
        let endpoint = |endpoint: SocketAddrV4| match endpoint.port() {
            0 => endpoint.ip().to_string(),
            _ => endpoint.to_string(),
        };
        let words = [
            "explain",
            &self.protocol.to_string(),
            &endpoint(self.src),
            &endpoint(self.dst),
            "--in",
            interface,
            "--ttl",
            &self.ttl.to_string(),
            "--size",
            &self.len().to_string(),
        ]
        .map(str::to_owned);
        let mut words = Vec::from(words);
        if self.dont_fragment {
            words.push("--df".to_owned());
        }
        if self.protocol == TCP {
            words.extend(["--flags".to_owned(), flag_names(self.flags)]);
        }
        words
    }

    /// Its bytes, from the IP header on, with a number behind its transport header.
    pub(crate) fn bytes(&self, number: u32) -> Result<Vec<u8>> {
        let room = self.len() - 20;
        let mut payload = vec![0; room.into()];
        let (src, dst) = (self.src.port().to_be_bytes(), self.dst.port().to_be_bytes());
        match self.protocol {
            // An identifier at the far end makes it a reply.
            ICMP if self.dst.port() != 0 => payload[4..6].copy_from_slice(&dst),
            ICMP => {
                payload[0] = 8;
                payload[4..6].copy_from_slice(&src);
            }
            TCP | UDP | UDP_LITE | SCTP => {
                payload[..2].copy_from_slice(&src);
                payload[2..4].copy_from_slice(&dst);
            }
            _ => {}
        }
        match self.protocol {
            TCP => payload[12..14].copy_from_slice(&[5 << 4, self.flags]),
            UDP | UDP_LITE => payload[4..6].copy_from_slice(&room.to_be_bytes()),
            _ => {}
        }
        let at = header(self.protocol);
        payload[at..at + 4].copy_from_slice(&MARK);
        payload[at + 4..at + 8].copy_from_slice(&number.to_be_bytes());
        let mut packet = Packet::new(*self.src.ip(), *self.dst.ip(), self.protocol, payload);
        packet.ttl = self.ttl;
        packet.fragment = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        packet.on_wire()
    }
}

/// What a tap heard of a case: its number, and its ends as they were there.
pub(crate) fn recognise(heard: &Heard) -> Option<(u32, SocketAddrV4, SocketAddrV4)> {
    let fragment = u16::from_be_bytes([heard.bytes[6], heard.bytes[7]]);
    if fragment & 0x1fff != 0 {
        return None;
    }
    let protocol = heard.protocol();
    let at = header(protocol);
    let payload = heard.bytes.get(20..)?;
    let number = payload.get(at..at + TAG)?.strip_prefix(&MARK)?;
    let word = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
    let ports = match protocol {
        ICMP if payload[0] == 0 => (0, word(4)),
        ICMP => (word(4), 0),
        TCP | UDP | UDP_LITE | SCTP => (word(0), word(2)),
        _ => (0, 0),
    };
    Some((
        u32::from_be_bytes(number.try_into().ok()?),
        SocketAddrV4::new(heard.src(), ports.0),
        SocketAddrV4::new(heard.dst(), ports.1),
    ))
}

pub(crate) const fn at(addr: [u8; 4], port: u16) -> SocketAddrV4 {
    let [a, b, c, d] = addr;
    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port)
}

pub(crate) const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | UDP_LITE | SCTP)
}

const fn header(protocol: u8) -> usize {
    match protocol {
        TCP => 20,
        SCTP => 12,
        ICMP | UDP | UDP_LITE => 8,
        _ => 0,
    }
}

fn flag_names(flags: u8) -> String {
    let names = ["fin", "syn", "rst", "psh", "ack"];
    let set = names.iter().enumerate();
    set.filter(|(bit, _)| flags >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect::<Vec<_>>()
        .join(",")
}
