//! Map values that the control plane writes and the datapath reads.

use crate::flow::{Addr, TIMED_STATES};

/// Layout of everything pinned. Changes with any change to a map's key, value or meaning.
pub const ABI_VERSION: u32 = 1;

/// Most SNAT entries in one configuration.
pub const MAX_ENTRIES: u32 = 256;
/// Most external addresses over all SNAT entries.
pub const MAX_POOL: u32 = 1024;
/// Most interfaces the datapath attaches to.
pub const MAX_INTERFACES: u32 = 16;
/// Most distinct `ports` settings.
pub const MAX_PORT_SETS: u32 = 4;
/// Most prefixes over all `source` (and, apart, all `bypass`) lists.
pub const MAX_PREFIXES: u32 = 4096;
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
}

/// An element of map `PORT_SETS`: the external ports that may be handed out.
#[repr(C)]
pub struct PortSet {
    /// How many of `ports` are in use.
    pub len: u32,
    /// The ports, ascending.
    pub ports: [u16; 65536],
}

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
    /// Always zero.
    pub zero: [u8; 2],
}

/// The key of the two prefix tries, `SOURCES` and `BYPASS`.
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
        }
    }
}
