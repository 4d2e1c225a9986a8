//! The traffic that `cargo xtask bench` measures with: which packet is which flow's.
//!
//! Flow `i` is UDP from client endpoint `i % endpoints` to server `i / endpoints`, and carries its number, so that
//! who receives a translated packet knows what it was.

pub mod pace;
pub mod replay;

use crate::{checksum::fold, flow::Addr};

/// First client: 172.16.64.0. They are [`CLIENTS`].
pub const FIRST_CLIENT: u32 = 0xac10_4000;
/// Clients; endpoints beyond that are further ports of theirs.
pub const CLIENTS: u32 = 1024;
/// First port of a client's.
pub const FIRST_PORT: u16 = 1024;
/// How far the first ports of two clients are from each other: each of the first [`DISTINCT`] endpoints has a port that
/// no other has, so that a NAT which keeps the client's port can.
const APART: u32 = 63;
/// Endpoints with a port that is nobody else's.
pub const DISTINCT: u32 = CLIENTS * APART;
/// First server: 198.18.0.0, of the range set aside for benchmarks (RFC 2544).
pub const FIRST_SERVER: u32 = 0xc612_0000;
/// Every server's port.
pub const SERVER_PORT: u16 = 4433;
/// What is written of each frame: Ethernet, IPv4, UDP, and the flow's number in network order.
pub const WRITTEN: usize = 14 + 20 + 8 + 4;

/// What the generator sends: the element of map `LOAD`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// First flow.
    pub first: u32,
    /// How many flows take turns.
    pub flows: u32,
    /// How many client endpoints those have.
    pub endpoints: u32,
    /// Sum of the IP header's words that are the same in all packets, in network order.
    pub ip_sum: u32,
    /// The same of the UDP pseudo header, header and payload.
    pub udp_sum: u32,
    /// Turns without a packet after each one with.
    pub pause: u32,
    /// Length of the IP packet.
    pub ip_len: u16,
    /// Fragment word of the IP header: 0x4000 is "don't fragment".
    pub fragment: u16,
    /// Link-layer destination.
    pub dst_mac: [u8; 6],
    /// Link-layer source.
    pub src_mac: [u8; 6],
}

/// Where the generator is: the element of the per-CPU map `TURN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Flow of the next packet, from [`Load::first`].
    pub flow: u32,
    /// Its endpoint.
    pub endpoint: u32,
    /// Its server.
    pub server: u32,
    /// Turns without a packet that are left.
    pub pause: u32,
    /// Packets made.
    pub made: u64,
}

/// What the sink has seen: the element of the per-CPU map `SEEN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Packets.
    pub packets: u64,
    /// Their bytes, Ethernet headers included.
    pub bytes: u64,
}

/// How many packets the sink keeps.
pub const SAMPLES: u32 = 256;
/// Bytes of each: the shortest frame has no more.
pub const SAMPLE_LEN: usize = 60;
/// One packet in so many is kept, as a shift.
pub const SAMPLE_SHIFT: u32 = 10;

/// What the redirect does: the element of map `WAY`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Link-layer destination.
    pub dst_mac: [u8; 6],
    /// Link-layer source.
    pub src_mac: [u8; 6],
}

/// The addresses and ports of a flow: client, its port, server.
#[inline(always)]
#[must_use]
pub const fn ends(endpoint: u32, server: u32) -> (Addr, u16, Addr) {
    let client = FIRST_CLIENT + endpoint % CLIENTS;
    let port = FIRST_PORT + (endpoint % CLIENTS * APART + endpoint / CLIENTS) as u16;
    (
        client.to_be_bytes(),
        port,
        (FIRST_SERVER + server).to_be_bytes(),
    )
}

impl Load {
    /// Completes the sums, for a frame with this payload behind the flow's number.
    #[must_use]
    pub fn summed(self, payload: &[u8]) -> Self {
        let udp_len = u32::from(self.ip_len) - 20;
        let words = payload
            .chunks(2)
            .map(|word| u32::from(word[0]) << 8 | word.get(1).copied().map_or(0, u32::from));
        Self {
            // Version and TOS, length, no identification, fragment word, TTL and protocol.
            ip_sum: 0x4500 + u32::from(self.ip_len) + u32::from(self.fragment) + 0x4011,
            // The length is in the pseudo header, too.
            udp_sum: 17 + 2 * udp_len + u32::from(SERVER_PORT) + words.sum::<u32>(),
            ..self
        }
    }

    /// The first bytes of the next frame.
    #[inline(always)]
    #[must_use]
    pub fn frame(&self, turn: &Turn) -> [u8; WRITTEN] {
        let (client, port, server) = ends(turn.endpoint, turn.server);
        let flow = self.first + turn.flow;
        let addrs = halves(u32::from_be_bytes(client)) + halves(u32::from_be_bytes(server));
        let ip_sum = !fold(self.ip_sum + addrs);
        let udp_sum = !fold(self.udp_sum + addrs + u32::from(port) + halves(flow));
        let mut frame = [0; WRITTEN];
        put(&mut frame, 0, self.dst_mac);
        put(&mut frame, 6, self.src_mac);
        put(&mut frame, 12, [0x08, 0, 0x45, 0]);
        put(&mut frame, 16, self.ip_len.to_be_bytes());
        put(&mut frame, 20, self.fragment.to_be_bytes());
        put(&mut frame, 22, [64, 17]);
        put(&mut frame, 24, ip_sum.to_be_bytes());
        put(&mut frame, 26, client);
        put(&mut frame, 30, server);
        put(&mut frame, 34, port.to_be_bytes());
        put(&mut frame, 36, SERVER_PORT.to_be_bytes());
        put(&mut frame, 38, (self.ip_len - 20).to_be_bytes());
        put(&mut frame, 40, udp_sum.to_be_bytes());
        put(&mut frame, 42, flow.to_be_bytes());
        frame
    }
}

impl Turn {
    /// Whether this turn is one without a packet.
    #[inline(always)]
    pub fn rests(&mut self) -> bool {
        let rests = self.pause != 0;
        self.pause = self.pause.saturating_sub(1);
        rests
    }

    /// Goes on to the next flow.
    #[inline(always)]
    pub fn pass(&mut self, load: &Load) {
        self.made += 1;
        self.pause = load.pause;
        self.flow += 1;
        self.endpoint += 1;
        if self.endpoint >= load.endpoints {
            self.endpoint = 0;
            self.server += 1;
        }
        if self.flow >= load.flows {
            (self.flow, self.endpoint, self.server) = (0, 0, 0);
        }
    }
}

#[inline(always)]
const fn halves(word: u32) -> u32 {
    (word >> 16) + (word & 0xffff)
}

#[inline(always)]
fn put<const N: usize>(frame: &mut [u8; WRITTEN], at: usize, bytes: [u8; N]) {
    let mut i = 0;
    while i < N {
        frame[at + i] = bytes[i];
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::BTreeSet;

    use super::{DISTINCT, FIRST_PORT, ends};

    #[test]
    fn no_two_endpoints_are_the_same() {
        let all: BTreeSet<_> = (0..DISTINCT + 512).map(|at| ends(at, 0)).collect();
        assert_eq!(all.len(), DISTINCT as usize + 512);
    }

    #[test]
    fn the_first_have_ports_of_their_own() {
        let ports: BTreeSet<_> = (0..DISTINCT).map(|at| ends(at, 0).1).collect();
        assert_eq!(ports.len(), DISTINCT as usize);
        assert_eq!(ports.first(), Some(&FIRST_PORT));
    }
}
