//! What is fed to both: conversations of a few clients, the same mutilated, and noise.

use anyhow::{Result, ensure};
use etherparse::Icmpv4Type;
use fastrand::Rng;
use snat_common::{Addr, Counter, Verdict};

use super::mutilation::{mutilated, set};
use crate::{
    frames::{Endpoint, Frame, Transport, ingress},
    scene::repair_header,
    world::{
        BLACKHOLE, BYPASSED, EXTERNAL, INTERNAL, LAN, LOST, MANY, NARROW, NO_NEIGHBOUR, ONE_ARM,
        OTHER, POOLED, ROUTED, SECOND, SECOND_EXTERNAL, SERVER, SILENT, TUNNEL, UNMANAGED, WAN,
        mac,
    },
};

const CLIENTS: [Addr; 9] = [
    MANY[0], MANY[1], MANY[2], ROUTED, ONE_ARM, POOLED, SILENT, LOST, INTERNAL,
];
const SERVERS: [Addr; 11] = [
    SERVER,
    [192, 0, 2, 2],
    [8, 8, 8, 8],
    NARROW,
    BLACKHOLE,
    TUNNEL,
    NO_NEIGHBOUR,
    UNMANAGED,
    BYPASSED,
    [224, 0, 0, 251],
    [127, 0, 0, 1],
];
const FLAGS: [&str; 8] = ["S", "S", "S", "S", "SA", "PA", "FA", "R"];
/// Sent packets that are remembered, to be answered and to be mutilated.
const MEMORY: usize = 512;

/// A client's packet that was translated.
struct Sent {
    ingress: u32,
    frame: Vec<u8>,
    /// As it left.
    out: Vec<u8>,
}

/// Endless frames, the same for the same seed and the same answers.
pub(super) struct Mixture {
    random: Rng,
    sent: Vec<Sent>,
    next: usize,
}

impl Mixture {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            sent: Vec::with_capacity(MEMORY),
            next: 0,
        }
    }

    /// A frame, and where it comes in.
    pub(super) fn next(&mut self) -> (u32, Vec<u8>) {
        let (ingress, frame) = match self.random.u8(0..100) {
            0..5 => return self.noise(),
            5..30 => self.question(),
            30..34 => self.other_protocol(),
            34..56 => self.again(),
            56..60 => self.complaint(),
            60..66 => self.stranger(),
            66..72 => self.neighbour(),
            _ => self.answer(),
        };
        if self.random.u8(0..10) < 3 {
            return (ingress, mutilated(&mut self.random, frame));
        }
        (ingress, frame)
    }

    /// Remembers what went out.
    pub(super) fn learn(&mut self, ingress: u32, frame: Vec<u8>, out: Vec<u8>) {
        let sent = Sent {
            ingress,
            frame,
            out,
        };
        if self.sent.len() < MEMORY {
            self.sent.push(sent);
        } else {
            self.sent[self.next] = sent;
            self.next = (self.next + 1) % MEMORY;
        }
    }

    /// Every flow has ended.
    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.next = 0;
    }

    /// Nothing but random bytes, now and then behind a plausible Ethernet header.
    fn noise(&mut self) -> (u32, Vec<u8>) {
        let len = self.random.usize(14..200);
        let mut frame: Vec<u8> = (0..len).map(|_| self.random.u8(..)).collect();
        if self.random.bool() {
            frame[..6].copy_from_slice(&mac(INTERNAL));
            frame[12..14].copy_from_slice(&[8, 0]);
        }
        if self.random.bool() && len > 34 {
            frame[14] = 0x45;
            frame[26..30].copy_from_slice(&self.pick(&CLIENTS));
            repair_header(&mut frame);
        }
        (self.pick(&[WAN, LAN, OTHER]), frame)
    }

    /// A client's packet.
    fn question(&mut self) -> (u32, Vec<u8>) {
        let client = self.pick(&CLIENTS);
        // Most of the traffic can go on.
        let server = if self.random.bool() {
            self.pick(&SERVERS[..4])
        } else {
            self.pick(&SERVERS)
        };
        let from = (client, self.random.u16(1000..1040));
        let to = (server, self.pick(&[53, 80, 443]));
        let frame = match self.random.u8(0..10) {
            0..4 => Frame::tcp(from, to, self.pick(&FLAGS)),
            4..8 => Frame::udp(from, to),
            _ => Frame::ping(client, server, from.1),
        };
        let frame = self.dressed(frame).by_client().bytes();
        (ingress(client), frame)
    }

    /// A client's packet of a protocol that has its address translated at most.
    fn other_protocol(&mut self) -> (u32, Vec<u8>) {
        let client = self.pick(&CLIENTS);
        let server = self.pick(&SERVERS[..4]);
        let frame = Frame::raw(client, server, self.pick(&[132, 47, 50, 51, 136, 89]));
        let mut ports = [0; 4];
        ports[..2].copy_from_slice(&self.random.u16(1000..1010).to_be_bytes());
        ports[2..].copy_from_slice(&self.random.u16(80..82).to_be_bytes());
        let length = self.pick(&[0, 8, 20, 40]);
        let frame = frame.with(|f| {
            f.payload = [&ports[..], &[0, length, 1, 2], &[7; 12]].concat();
            f.ip.time_to_live = ttl(&mut self.random);
        });
        (ingress(client), frame.by_client().bytes())
    }

    /// Somebody else outside speaks to a port that a client was given, or to one near it.
    fn stranger(&mut self) -> (u32, Vec<u8>) {
        let Some((addr, port)) = self.external_endpoint() else {
            return self.question();
        };
        let from = (self.pick(&SERVERS[..4]), self.random.u16(79..83));
        let frame = self.call(from, (addr, port)).by_internet();
        (WAN, frame.bytes())
    }

    /// A client speaks to a port that a client was given.
    fn neighbour(&mut self) -> (u32, Vec<u8>) {
        let Some((addr, port)) = self.external_endpoint() else {
            return self.question();
        };
        let client = self.pick(&CLIENTS);
        let from = (client, self.random.u16(1000..1040));
        let frame = self.call(from, (addr, port)).by_client();
        (ingress(client), frame.bytes())
    }

    fn call(&mut self, from: Endpoint, to: Endpoint) -> Frame {
        let frame = match self.random.u8(0..10) {
            0..5 => Frame::udp(from, to),
            5..9 => Frame::tcp(from, to, self.pick(&FLAGS)),
            _ => Frame::ping(from.0, to.0, to.1),
        };
        self.dressed(frame)
    }

    /// What something that went out has as its source; now and then the forwarded port, or one that is
    /// perhaps nobody's.
    fn external_endpoint(&mut self) -> Option<Endpoint> {
        let at = self.remembered()?;
        let out = &self.sent[at].out;
        let transport = 14 + usize::from(out[14] & 15) * 4;
        let addr = out[26..30].try_into().expect("4 bytes");
        let port = out.get(transport..transport + 2)?;
        let port = u16::from_be_bytes([port[0], port[1]]);
        Some(match self.random.u8(0..10) {
            0 => (EXTERNAL, 8443),
            1 => (addr, port ^ 1),
            _ => (addr, port),
        })
    }

    /// Sizes, TTLs and the rest that real packets differ in.
    fn dressed(&mut self, frame: Frame) -> Frame {
        let random = &mut self.random;
        frame.with(|f| {
            let len = match random.u8(0..20) {
                0 => random.usize(500..1500),
                _ => random.usize(0..40),
            };
            f.payload = (0..len).map(|_| random.u8(..)).collect();
            f.ip.dont_fragment = random.bool();
            f.ip.time_to_live = ttl(random);
            f.padding = [0, 0, 0, 3, 18][random.usize(0..5)];
            if random.u8(0..10) == 0 {
                let options = vec![1; random.usize(1..=10) * 4];
                f.ip.options = options.as_slice().try_into().expect("whole words");
            }
            if let Transport::Udp { checked, .. } = &mut f.transport {
                *checked = random.u8(0..4) != 0;
            }
        })
    }

    /// More of what a client sent before.
    fn again(&mut self) -> (u32, Vec<u8>) {
        let Some(at) = self.remembered() else {
            return self.question();
        };
        let Sent { ingress, frame, .. } = &self.sent[at];
        let (ingress, mut frame) = (*ingress, frame.clone());
        if frame[23] == 6 {
            let transport = 14 + usize::from(frame[14] & 15) * 4;
            let flags = self.pick(&[0x02, 0x10, 0x18, 0x18, 0x11, 0x04]);
            set(&mut frame, transport + 13, flags);
        }
        (ingress, frame)
    }

    fn remembered(&mut self) -> Option<usize> {
        (!self.sent.is_empty()).then(|| self.random.usize(0..self.sent.len()))
    }

    /// What the server sends back for a packet that went out.
    fn answer(&mut self) -> (u32, Vec<u8>) {
        let Some(at) = self.remembered() else {
            return self.question();
        };
        let mut frame = self.sent[at].out.clone();
        let transport = 14 + usize::from(frame[14] & 15) * 4;
        swap(&mut frame, 0, 6, 6);
        let by_second = frame[26..30] == SECOND_EXTERNAL;
        let (own, ingress) = if by_second {
            (SECOND_EXTERNAL, SECOND)
        } else {
            (EXTERNAL, WAN)
        };
        frame[..6].copy_from_slice(&mac(own));
        swap(&mut frame, 26, 30, 4);
        frame[22] = ttl(&mut self.random);
        match frame[23] {
            1 => set(&mut frame, transport, self.pick(&[0, 0, 0, 8, 3])),
            6 => {
                swap(&mut frame, transport, transport + 2, 2);
                let flags = self.pick(&[0x12, 0x12, 0x10, 0x18, 0x11, 0x04, 0x02]);
                set(&mut frame, transport + 13, flags);
            }
            _ => swap(&mut frame, transport, transport + 2, 2),
        }
        repair_header(&mut frame);
        (ingress, frame)
    }

    /// An ICMP error about something that went out, from either side.
    fn complaint(&mut self) -> (u32, Vec<u8>) {
        let Some(at) = self.remembered() else {
            return self.question();
        };
        let kind = Icmpv4Type::Unknown {
            type_u8: self.pick(&[3, 3, 3, 11, 12, 4, 5]),
            code_u8: self.random.u8(0..5),
            bytes5to8: [0, 0, 5, 0],
        };
        let Sent {
            ingress,
            frame,
            out,
        } = &self.sent[at];
        let addr = |bytes: &[u8]| -> Addr { bytes.try_into().expect("4 bytes") };
        let from_outside = self.random.bool();
        let (ingress, mut quoted) = if from_outside {
            (WAN, out.clone())
        } else {
            (*ingress, reversed(frame))
        };
        let (sender, receiver) = (addr(&quoted[26..30]), addr(&quoted[30..34]));
        let speaker = if self.random.bool() {
            receiver
        } else {
            self.pick(&CLIENTS)
        };
        quoted.truncate(14 + self.random.usize(20..80));
        let error = Frame::icmp(speaker, sender, kind).with(|f| {
            f.payload = quoted.split_off(14);
            f.ip.time_to_live = ttl(&mut self.random);
        });
        let error = if from_outside {
            error.by_internet()
        } else {
            error.by_client()
        };
        (ingress, error.bytes())
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.usize(0..from.len())]
    }
}

/// The answer to a client's packet, as the client gets it.
fn reversed(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let transport = 14 + usize::from(frame[14] & 15) * 4;
    swap(&mut frame, 26, 30, 4);
    if frame[23] == 1 {
        set(&mut frame, transport, 0);
    } else {
        swap(&mut frame, transport, transport + 2, 2);
    }
    repair_header(&mut frame);
    frame
}

/// Mostly enough.
fn ttl(random: &mut Rng) -> u8 {
    match random.u8(0..30) {
        small @ 0..=3 => small,
        _ => random.u8(4..),
    }
}

/// Swaps two fields, as far as the frame has both.
fn swap(frame: &mut [u8], a: usize, b: usize, len: usize) {
    for at in 0..len.min(frame.len().saturating_sub(b)) {
        frame.swap(a + at, b + at);
    }
}

/// Fails where a verdict that frames can get was too rare to have been tried.
pub(super) fn is_rich(seen: &[Counter]) -> Result<()> {
    for verdict in Verdict::ALL {
        let expected = match verdict {
            // See `example` in the policies.
            Verdict::FlowVanishing
            | Verdict::FlowEnded
            | Verdict::RewriteFailed
            | Verdict::NeighbourToStack
            | Verdict::SourceRate
            | Verdict::Split
            | Verdict::FragmentHeld
            | Verdict::FragmentInvalid
            | Verdict::FragmentLimit
            | Verdict::LeftToKernel => continue,
            Verdict::TranslatedIn | Verdict::TranslatedOut => 50_000,
            // The last eighth of the table is not one client's to fill.
            Verdict::TableFull => 5,
            _ => 100,
        };
        let count = seen[*verdict as usize].packets;
        ensure!(count >= expected, "{verdict:?} came up only {count} times");
    }
    Ok(())
}
