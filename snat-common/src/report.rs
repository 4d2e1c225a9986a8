//! What the datapath tells those who watch it: dropped packets, as they came.
//!
//! Nobody watches most of the time, so whoever does says for how long ([`Watch::until`]), over and over: a watcher that
//! is killed is forgotten.

use crate::{flow::Addr, settings::TICK_SHIFT, verdict::Verdict};

/// For how long a watcher is told before it has to ask again: 3 s, in ticks.
pub const LEASE: u32 = (3_000_000_000_u64 >> TICK_SHIFT) as u32;

/// Most bytes of a dropped packet that a report has.
pub const SNAP_LEN: u32 = 256;

/// The one element of map `WATCH`: whether dropped packets are reported, and which.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Verdicts of interest: bit `v` for number `v`.
    pub verdicts: u64,
    /// [`crate::bucket`]: reports that may still be made.
    pub budget: u64,
    /// Most reports in a second.
    pub per_second: u32,
    /// Until when anybody listens, in ticks.
    pub until: u32,
    /// Which sources are of interest.
    pub src: Network,
    /// Which destinations are.
    pub dst: Network,
    /// 1 where it is enough that either is.
    pub either: u32,
    /// Always zero.
    pub zero: u32,
}

/// Addresses with the same beginning. That of zeros is all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The address, under `mask`.
    pub addr: Addr,
    /// Network mask.
    pub mask: Addr,
}

impl Network {
    #[inline(always)]
    const fn has(&self, addr: Addr) -> bool {
        u32::from_ne_bytes(addr) & u32::from_ne_bytes(self.mask) == u32::from_ne_bytes(self.addr)
    }
}

impl Watch {
    /// Whether somebody listens now, and to this.
    #[inline(always)]
    #[must_use]
    pub const fn wants(&self, verdict: Verdict, now: u32) -> bool {
        let left = self.until.wrapping_sub(now);
        self.verdicts >> (verdict as u8) & 1 != 0 && left != 0 && left <= LEASE
    }

    /// Whether a packet between these two is of interest.
    #[inline(always)]
    #[must_use]
    pub const fn concerns(&self, src: Addr, dst: Addr) -> bool {
        let (src, dst) = (self.src.has(src), self.dst.has(dst));
        if self.either != 0 {
            src || dst
        } else {
            src && dst
        }
    }
}

/// A record of the ring buffer `DROPS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The interface it came in by, or (where `egress` says so) was leaving by.
    pub ifindex: u32,
    /// Length of the frame.
    pub len: u32,
    /// How much of it is in `bytes`.
    pub captured: u32,
    /// Number of the [`Verdict`].
    pub verdict: u8,
    /// 1 if it was stopped on its way out.
    pub egress: u8,
    /// Always zero.
    pub zero: [u8; 2],
    /// The frame, from its Ethernet header on.
    pub bytes: [u8; SNAP_LEN as usize],
}

const _: () = assert!(
    Verdict::COUNT <= 64
        && size_of::<Dropped>() == 24 + SNAP_LEN as usize
        && size_of::<Watch>() == 48
);
