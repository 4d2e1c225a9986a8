//! A flow entry in shared memory: every access is one machine word, none is a Rust reference.
//!
//! Entries live in a map that several CPUs read and write at once. The rules that keep them whole:
//!
//! - A direction's packets write only the entry of their own direction: last-seen, counters, next hop.
//! - `last_seen` to `port_delta` are one 8-byte word. The word of the `In` entry is the flow's
//!   *authority*: state changes and death are compare-and-exchange on it, so of two that try one wins,
//!   and a packet that was seen in between makes both look again.

use core::{marker::PhantomData, ptr::NonNull};

use crate::{
    atomic,
    flow::{Addr, FlowEntry, State},
};

/// A pointer to an entry of the flow table.
#[derive(Clone, Copy)]
pub struct FlowRef<'a> {
    entry: NonNull<FlowEntry>,
    table: PhantomData<&'a ()>,
}

/// `last_seen` to `port_delta` as they were read in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life(u64);

impl Life {
    /// When a packet of the entry's direction last passed, in ticks.
    #[inline(always)]
    #[must_use]
    pub const fn last_seen(self) -> u32 {
        self.0 as u32
    }

    /// The number of the [`State`].
    #[inline(always)]
    #[must_use]
    pub const fn state(self) -> u8 {
        (self.0 >> 32) as u8
    }

    /// Whether the entry is the one of direction `In`.
    #[inline(always)]
    #[must_use]
    pub const fn is_inbound(self) -> bool {
        (self.0 >> 40) as u8 != 0
    }

    /// The port's checksum delta.
    #[inline(always)]
    #[must_use]
    pub const fn port_delta(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The same with another state.
    #[inline(always)]
    #[must_use]
    pub const fn with_state(self, state: u8) -> Self {
        Self(self.0 & !(0xff << 32) | ((state as u64) << 32))
    }

    /// The same with another last-seen.
    #[inline(always)]
    #[must_use]
    pub const fn with_last_seen(self, ticks: u32) -> Self {
        Self(self.0 & !0xffff_ffff | ticks as u64)
    }
}

/// A cached route: what [`FlowRef::next_hop`] read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedHop {
    /// Index in `INTERFACES`.
    pub egress: u8,
    /// Largest IP packet.
    pub mtu: u16,
    /// Link-layer address of the next hop.
    pub mac: [u8; 6],
}

const _: () = {
    assert!(core::mem::offset_of!(FlowEntry, last_seen) == 8);
    assert!(core::mem::offset_of!(FlowEntry, state) == 12);
    assert!(core::mem::offset_of!(FlowEntry, direction) == 13);
    assert!(core::mem::offset_of!(FlowEntry, port_delta) == 14);
    assert!(core::mem::offset_of!(FlowEntry, mtu) == 16);
    assert!(core::mem::offset_of!(FlowEntry, generation) == 18);
    assert!(core::mem::offset_of!(FlowEntry, next_hop) == 24);
    assert!(core::mem::offset_of!(FlowEntry, egress) == 30);
    assert!(State::Dead as u8 == 15);
    // Life packs its fields as a little-endian load does.
    assert!(cfg!(target_endian = "little"));
};

/// Words of 16 bits, the lowest first.
#[inline(always)]
const fn halves(word: u64) -> [u16; 4] {
    [
        word as u16,
        (word >> 16) as u16,
        (word >> 32) as u16,
        (word >> 48) as u16,
    ]
}

/// A raw pointer to a field of the entry; dereferences, so it stands inside `unsafe`.
macro_rules! field {
    ($self:ident, $field:ident) => {
        (&raw mut (*$self.entry.as_ptr()).$field)
    };
}

impl FlowRef<'_> {
    /// Wraps a pointer to an entry of the table.
    ///
    /// # Safety
    /// `entry` points to a [`FlowEntry`], 8-byte aligned, that stays readable and writable for `'a`.
    /// Nobody holds a Rust reference to it.
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(entry: NonNull<FlowEntry>) -> Self {
        Self {
            entry,
            table: PhantomData,
        }
    }

    /// `last_seen` to `port_delta`, read at once.
    #[inline(always)]
    #[must_use]
    pub fn life(&self) -> Life {
        // SAFETY: eight aligned bytes inside the entry (asserted above).
        Life(unsafe { field!(self, last_seen).cast::<u64>().read_volatile() })
    }

    /// Replaces the word if it is still `old`. True if it was.
    #[inline(always)]
    #[must_use]
    pub fn exchange_life(&self, old: Life, new: Life) -> bool {
        // SAFETY: as in `life`.
        unsafe { atomic::compare_exchange(field!(self, last_seen).cast(), old.0, new.0) }
    }

    /// The address and port that packets of this direction are given.
    #[inline(always)]
    #[must_use]
    pub fn target(&self) -> (Addr, u16) {
        // SAFETY: fields of the entry; written once, before it was inserted.
        unsafe { (field!(self, addr).read(), field!(self, port).read()) }
    }

    /// The address's checksum delta.
    #[inline(always)]
    #[must_use]
    pub fn addr_delta(&self) -> u16 {
        // SAFETY: as in `target`.
        unsafe { field!(self, addr_delta).read() }
    }

    /// What the flow holds.
    #[inline(always)]
    #[must_use]
    pub fn holds(&self) -> u8 {
        // SAFETY: as in `target`.
        unsafe { field!(self, holds).read() }
    }

    /// When the flow was opened, in ticks.
    #[inline(always)]
    #[must_use]
    pub fn created(&self) -> u32 {
        // SAFETY: an aligned field of the entry.
        unsafe { field!(self, created).read_volatile() }
    }

    /// Packets of this direction so far.
    #[inline(always)]
    #[must_use]
    pub fn packets(&self) -> u64 {
        // SAFETY: as in `created`.
        unsafe { field!(self, packets).read_volatile() }
    }

    /// Notes packets of this direction, seen at `now`; `alone` if no other CPU does the same.
    #[inline(always)]
    pub fn count(&self, now: u32, packets: u32, bytes: u32, alone: bool) {
        let (packets, bytes) = (u64::from(packets), u64::from(bytes));
        // SAFETY: aligned fields of the entry.
        unsafe {
            field!(self, last_seen).write_volatile(now);
            let (all_packets, all_bytes) = (field!(self, packets), field!(self, bytes));
            if alone {
                all_packets.write_volatile(all_packets.read_volatile() + packets);
                all_bytes.write_volatile(all_bytes.read_volatile() + bytes);
            } else {
                atomic::add(all_packets, packets);
                atomic::add(all_bytes, bytes);
            }
        }
    }

    /// Copies the state that the authority has decided.
    #[inline(always)]
    pub fn set_state(&self, state: u8) {
        // SAFETY: a byte of the entry; `state` comes from a `State`.
        unsafe { field!(self, state).cast::<u8>().write_volatile(state) }
    }

    /// Makes the entry one of a flow that has just begun.
    #[inline(always)]
    pub fn renew(&self, now: u32) {
        // SAFETY: aligned fields of the entry.
        unsafe {
            field!(self, created).write_volatile(now);
            field!(self, packets).write_volatile(0);
            field!(self, bytes).write_volatile(0);
        }
    }

    /// The cached route, if it is of this generation.
    #[inline(always)]
    #[must_use]
    pub fn next_hop(&self, generation: u16) -> Option<CachedHop> {
        // SAFETY: aligned words of the entry (asserted above). `generation` is written last and read first.
        let [mtu, kept, ..] = halves(unsafe { field!(self, mtu).cast::<u64>().read_volatile() });
        if kept != generation {
            return None;
        }
        // SAFETY: as above.
        let hop = unsafe { field!(self, next_hop).cast::<u64>().read_volatile() };
        let [a, b, c, d, e, f, egress, _] = hop.to_ne_bytes();
        Some(CachedHop {
            egress,
            mtu,
            mac: [a, b, c, d, e, f],
        })
    }

    /// Keeps a route for the packets to come.
    #[inline(always)]
    pub fn set_next_hop(&self, hop: CachedHop, generation: u16) {
        // SAFETY: as in `next_hop`.
        unsafe {
            field!(self, egress).write_volatile(hop.egress);
            field!(self, mtu).write_volatile(hop.mtu);
            field!(self, next_hop).write_volatile(hop.mac);
            field!(self, generation).write_volatile(generation);
        }
    }
}
