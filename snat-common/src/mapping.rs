//! The tables beside the flow table: who owns an external port, who may speak to it, what a client uses.
//!
//! Their elements are *held*: each counts the flows that need it, in one word with the time when the last
//! was gone ([`crate::Held`]). An element that nobody holds rests for a while, and is then removed by whoever
//! needs its place or by the daemon's sweep: the same compare-and-exchange decides for both.

use crate::{
    flow::{Addr, Protocol},
    settings::{PORT_SET_SLOTS, PORT_WORDS},
};

/// What a flow holds, as bits of [`crate::FlowEntry::holds`].
pub mod hold {
    /// Its mapping: the external port is the client endpoint's, whatever the destination.
    pub const MAPPING: u8 = 1;
    /// Its server's permission to speak to the mapping from any port.
    pub const PERMISSION: u8 = 2;
    /// A place among its client's flows.
    pub const CLIENT: u8 = 4;
    /// The flow was opened from outside.
    pub const FROM_OUTSIDE: u8 = 8;
}

/// Which way round a [`MappingKey`] is.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MappingKind {
    /// By the client's endpoint, to the external one.
    Inner = 0,
    /// By the external endpoint, to the client's: the mapping itself.
    Outer = 1,
    /// By the external endpoint and a server's address: that server may speak to it.
    Permission = 2,
}

/// Key of map `MAPPINGS`. Ports are numbers, addresses bytes in network order.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MappingKey {
    /// The client's address ([`MappingKind::Inner`]) or the external one.
    pub addr: Addr,
    /// The server's address of a permission; 0.0.0.0 for the rest.
    pub peer: Addr,
    /// The port or echo identifier that goes with `addr`.
    pub port: u16,
    /// Transport protocol: each has ports of its own.
    pub protocol: Protocol,
    /// Which way round.
    pub kind: MappingKind,
}

/// Value of map `MAPPINGS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// [`crate::Held`]; unused in [`MappingKind::Inner`].
    pub held: u64,
    /// What `addr` of the key is mapped to.
    pub addr: Addr,
    /// The port that goes with it.
    pub port: u16,
    /// Number of a [`crate::settings::Filtering`].
    pub filtering: u8,
    /// 1 if the configuration made it (`[[forward]]`): it never goes by itself.
    pub is_static: u8,
}

/// Value of map `CLIENTS`, by a client's address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// [`crate::Held`]: how many flows it has.
    pub held: u64,
    /// [`crate::bucket`]: flows it may still open.
    pub new_flows: u64,
    /// [`crate::bucket`]: datagrams in fragments it may still begin.
    pub fragments: u64,
}

/// Key of map `BUSY`: external ports towards one server's port, or (all zero) towards all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BusyKey {
    /// External address.
    pub external: Addr,
    /// The server's address.
    pub peer: Addr,
    /// The server's port.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Always zero.
    pub zero: u8,
}

/// Value of map `BUSY`: the ports that a search has found taken. A hint: the tables themselves decide.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// When ports known as taken were last looked at again, in ticks.
    pub looked: u32,
    /// Where that goes on: a word of `taken`.
    pub cursor: u32,
    /// How many ports were given back.
    pub freed: u64,
    /// For each port set: one more than `freed` was when a search found no port of it free.
    pub full: [u64; PORT_SET_SLOTS as usize],
    /// Bit `p % 64` of word `p / 64`.
    pub taken: [u64; PORT_WORDS as usize],
}

const _: () = assert!(size_of::<MappingKey>() == 12 && size_of::<Mapping>() == 16);

/// The one element of map `SHARED`: what all CPUs count together. Every access is atomic.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// Flows there are.
    pub flows: u64,
    /// Clients that have any.
    pub clients: u64,
    /// [`crate::bucket`]: answers that may still be sent.
    pub answers: u64,
    /// The last IP identification that was given out.
    pub ip_id: u64,
    /// Flows that were opened so far: the next one's place in map `OPENED`.
    pub opened: u64,
    /// How many of that map's elements were looked at to make room: the next one's place.
    pub looked: u64,
}
