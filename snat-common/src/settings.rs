//! Map values that the control plane writes and the datapath reads.

use crate::flow::{Addr, TIMED_STATES};

/// Layout of everything pinned. Changes with any change to a map's key, value or meaning.
pub const ABI_VERSION: u32 = 7;

/// Most SNAT entries in one configuration.
pub const MAX_ENTRIES: u32 = 256;
/// Most external addresses over all SNAT entries.
pub const MAX_POOL: u32 = 1024;
/// Most interfaces the datapath attaches to.
pub const MAX_INTERFACES: u32 = 16;
/// Most interfaces that policy routes know of.
pub const MAX_ENIS: u32 = 256;
/// Most distinct `ports` settings.
pub const MAX_PORT_SETS: u32 = 4;
/// Most clients whose flows are counted at a time; more go uncounted.
pub const MAX_CLIENTS: u32 = 65_536;
/// Most connections that the kernel opens while others are taken over, and that are known to be its own.
pub const MAX_LEFT: u32 = 65_536;
/// Most datagrams in fragments that are known at a time.
pub const MAX_FRAGMENTED: u32 = 4096;
/// Most fragments that wait for the first of their datagram.
pub const MAX_HELD: u32 = 1024;
/// Most of those of one datagram: what 65,535 bytes take on an Ethernet, and some.
pub const MAX_HELD_OF_ONE: u32 = 64;
/// How many fragments of one sender may begin to wait in a second.
pub const HELD_PER_SOURCE: u32 = 256;
/// Largest frame that can wait or be cut up.
pub const MAX_HELD_FRAME: u32 = 9216;
/// Most destinations whose ports in use are kept in a bitmap.
pub const MAX_BUSY: u32 = 256;
/// Most prefixes over all `source` (and, apart, all `bypass`) lists.
pub const MAX_PREFIXES: u32 = 4096;

/// Elements of map `ENTRIES`. There, and in the four maps below, is room for two configurations: a new one is written beside
/// the one at work, and then pointed to.
pub const ENTRY_SLOTS: u32 = 2 * MAX_ENTRIES;
/// Elements of map `POOL`.
pub const POOL_SLOTS: u32 = 2 * MAX_POOL;
/// Elements of map `PORT_SETS`. A power of two.
pub const PORT_SET_SLOTS: u32 = 2 * MAX_PORT_SETS;
/// Elements of maps `SOURCES` and `BYPASS`.
pub const PREFIX_SLOTS: u32 = 2 * MAX_PREFIXES;
/// Elements of map `EXTERNALS`.
pub const EXTERNAL_SLOTS: u32 = 2 * (MAX_POOL + MAX_INTERFACES);

/// A tick of [`crate::FlowEntry`]'s clock is 2^24 ns (16.8 ms) of `CLOCK_MONOTONIC`.
pub const TICK_SHIFT: u32 = 24;

/// The one element of map `SETTINGS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// [`ABI_VERSION`] of whoever made the pinned state.
    pub abi: u32,
    /// Bumped when routes, neighbours or interfaces change, so that cached next hops are looked up anew.
    pub generation: u32,
    /// Idle timeout of each [`crate::State`], in ticks.
    pub timeouts: [u32; TIMED_STATES],
    /// Key of the port choice: random per instance, so that ports are hard to guess.
    pub secret: [u64; 2],
    /// How long a port without flows stays its last owner's (RFC 6888 REQ-8), in ticks.
    pub port_rest: u32,
    /// Most flows of the table, as `max_flows` says.
    pub max_flows: u32,
    /// Most flows a client may have; 0 for no limit.
    pub flows_per_source: u32,
    /// Most flows a client may open in a second (that many at once after a pause); 0 for no limit.
    pub new_flows_per_source: u32,
    /// Most datagrams in fragments a client may begin in a second; 0 for no limit.
    pub fragments_per_source: u32,
    /// Most ICMP errors and RSTs that the gateway itself sends in a second; 0 for none at all.
    pub answers_per_second: u32,
    /// Largest MSS let through in a SYN: 0 leaves it alone, 1 is what the path takes.
    pub mss: u16,
    /// ICMP destination-unreachable code for a client that is refused a flow; 255 for silence.
    pub refusal_code: u8,
    /// A set of [`resets`]: who gets an RST for a segment without a flow.
    pub resets: u8,
    /// Elements of the ring of flows that were opened last, less one: [`crate::recycle::ring`].
    pub ring_mask: u32,
    /// A set of [`protocols`]: what is translated besides TCP, UDP and ICMP.
    pub protocols: u8,
    /// Number of a [`crate::log::Detail`].
    pub log: u8,
    /// Number of a [`crate::transfer::Transfer`].
    pub transfer: u8,
    /// Always zero.
    pub zero: u8,
}

/// Bits of [`Settings::resets`].
pub mod resets {
    /// Clients.
    pub const CLIENTS: u8 = 1;
    /// Servers.
    pub const SERVERS: u8 = 2;
}

/// Bits of [`Settings::protocols`].
pub mod protocols {
    /// UDP-Lite, with ports.
    pub const UDP_LITE: u8 = 1;
    /// SCTP, address only.
    pub const SCTP: u8 = 2;
    /// GRE, address only.
    pub const GRE: u8 = 4;
    /// ESP, address only.
    pub const ESP: u8 = 8;
    /// All others but AH, address only.
    pub const OTHERS: u8 = 16;
}

/// How external ports are given to a client's endpoints (RFC 4787 §4.1).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Endpoint-independent while a port is free, then shared between destinations.
    Auto = 0,
    /// One external port for a client's endpoint, whatever the destination; no port is shared.
    EndpointIndependent = 1,
    /// A port may serve as many endpoints as there are destinations.
    AddressAndPortDependent = 2,
}

/// Who may speak to a mapped external port from outside (RFC 4787 §5).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// Only the address and port that the client has sent to.
    AddressAndPortDependent = 0,
    /// Any port of an address that the client has sent to.
    AddressDependent = 1,
    /// Anybody (full cone).
    EndpointIndependent = 2,
}

/// An element of map `ENTRIES`: one `[[snat]]`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnatEntry {
    /// First of its external addresses in map `POOL`.
    pub pool_first: u16,
    /// How many there are.
    pub pool_len: u16,
    /// Its ports: index in map `PORT_SETS`.
    pub port_set: u32,
    /// Number of a [`Mapping`].
    pub mapping: u8,
    /// Number of a [`Filtering`].
    pub filtering: u8,
    /// Always zero.
    pub zero: [u8; 2],
}

/// An element of map `PORT_SETS`: the external ports that may be handed out.
#[repr(C)]
pub struct PortSet {
    /// How many of `ports` are in use.
    pub len: u32,
    /// How many of those are below 1024.
    pub low: u32,
    /// The same ports as a set: bit `p % 64` of word `p / 64`.
    pub allowed: [u64; PORT_WORDS as usize],
    /// The ports, ascending.
    pub ports: [u16; 65536],
}

/// Words of a set of ports.
pub const PORT_WORDS: u32 = 1024;

/// An element of map `INTERFACES`: where the datapath is attached and may send.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Kernel's interface index; 0 is an unused element.
    pub ifindex: u32,
    /// Its primary IPv4 address, which `external = ["auto"]` stands for; 0.0.0.0 if it has none.
    pub addr: Addr,
    /// Its own link-layer address.
    pub mac: [u8; 6],
    /// Largest IP packet it takes.
    pub mtu: u16,
}

/// An element of map `ENIS`: what the policy routes say of an interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eni {
    /// Next hop of the main table's default route by it; 0.0.0.0 if it has none.
    pub gateway: Addr,
    /// Metric of that route.
    pub metric: u32,
    /// Its share of new flows that would go by a default route; 0: it gets none.
    pub weight: u16,
    /// Always zero.
    pub zero: [u8; 2],
}

/// The key of the prefix tries `SOURCES`, `BYPASS` and `BY_SOURCE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Length in bits, 0 to 32.
    pub len: u32,
    /// Address, host bits zero.
    pub addr: Addr,
}

/// An element of the per-CPU map `VERDICTS`, indexed by [`crate::Verdict`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes, Ethernet header included.
    pub bytes: u64,
}

impl Settings {
    /// What the map holds before the control plane has written to it.
    #[must_use]
    pub const fn unset() -> Self {
        Self {
            abi: 0,
            generation: 0,
            timeouts: [0; TIMED_STATES],
            secret: [0; 2],
            port_rest: 0,
            max_flows: 0,
            flows_per_source: 0,
            new_flows_per_source: 0,
            fragments_per_source: 0,
            answers_per_second: 0,
            mss: 0,
            refusal_code: 255,
            resets: 0,
            ring_mask: 0,
            protocols: 0,
            log: 0,
            transfer: 0,
            zero: 0,
        }
    }
}
