//! What is known of a flow while it is being opened.
//!
//! In the kernel this is memory of a per-CPU map, not of the stack: there is little of that, and of map memory
//! the verifier assumes nothing, which lets it see that the ways through the search are all alike.

use crate::{
    flow::{FlowEntry, FlowKey, Protocol, State},
    mapping::{BusyKey, Mapping, MappingKey, MappingKind},
    policy::Grant,
};

/// The element of the per-CPU map `WORK`. The packet's key and the grant come in; the rest is for the claim.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The packet's key.
    pub packet: FlowKey,
    /// What it was granted.
    pub grant: Grant,
    /// The flow's key of direction `In`.
    pub in_key: FlowKey,
    /// And of direction `Out`.
    pub out_key: FlowKey,
    /// The entry to be inserted next.
    pub entry: FlowEntry,
    /// The mapping or permission to be inserted next.
    pub mapping: Mapping,
    /// The mapping's key from outside.
    pub outer: MappingKey,
    /// And from the client's side.
    pub inner: MappingKey,
    /// The permission's.
    pub permission: MappingKey,
    /// Which ports were found taken.
    pub busy: BusyKey,
    /// Where the search begins: the hash of the client's endpoint and, if the mapping depends on it, of the
    /// server's. Nobody outside can guess it (RFC 6056).
    pub hash: u64,
    /// Ports of the word at hand that are still to be tried.
    pub left: u64,
    /// Index in `PORT_SETS`.
    pub set: u32,
    /// Ports of the wanted class: the first, as an index of the set.
    pub first: u32,
    /// And how many there are.
    pub count: u32,
    /// Words still to visit in this round.
    pub words: u32,
    /// The word at hand.
    pub word: u32,
    /// Rounds begun.
    pub round: u32,
    /// Ports that may still be tried.
    pub budget: u32,
    /// Ports tried so far.
    pub tries: u32,
    /// How many guesses come before the bitmap.
    pub guesses: u32,
    /// [`crate::BusyRef::freed`] when the search began.
    pub freed: u64,
    /// The clock.
    pub now: u32,
    /// What the entries say of when the flow was last used.
    pub last_seen: u32,
    /// Number of a [`crate::settings::Mapping`].
    pub mapping_mode: u8,
    /// Number of a [`crate::settings::Filtering`].
    pub filtering: u8,
    /// What the flow holds so far: [`crate::hold`].
    pub holds: u8,
    /// 1 while the search is for a port of the endpoint's own.
    pub mapped: u8,
    /// 1 if another CPU is opening the very same flow.
    pub elsewhere: u8,
    /// Number of the verdict that the search ended with.
    pub end: u8,
    /// Where the flow stands at first.
    pub state: State,
    /// Always zero.
    pub zero: [u8; 5],
}

impl Work {
    /// Nothing yet.
    #[must_use]
    pub const fn new(packet: FlowKey, grant: Grant) -> Self {
        const KEY: MappingKey = MappingKey {
            addr: [0; 4],
            peer: [0; 4],
            port: 0,
            protocol: Protocol::Udp,
            kind: MappingKind::Outer,
        };
        Self {
            packet,
            grant,
            in_key: packet,
            out_key: packet,
            entry: FlowEntry::EMPTY,
            mapping: Mapping {
                held: 0,
                addr: [0; 4],
                port: 0,
                filtering: 0,
                is_static: 0,
            },
            outer: KEY,
            inner: KEY,
            permission: KEY,
            busy: BusyKey {
                external: [0; 4],
                peer: [0; 4],
                port: 0,
                protocol: Protocol::Udp,
                zero: 0,
            },
            hash: 0,
            left: 0,
            set: 0,
            first: 0,
            count: 0,
            words: 0,
            word: 0,
            round: 0,
            budget: 0,
            tries: 0,
            guesses: 0,
            freed: 0,
            now: 0,
            last_seen: 0,
            mapping_mode: 0,
            filtering: 0,
            holds: 0,
            mapped: 0,
            elsewhere: 0,
            end: 0,
            state: State::Udp,
            zero: [0; 5],
        }
    }
}
