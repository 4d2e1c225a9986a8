//! Incremental Internet checksums.
//!
//! A translation changes a few known words of a packet whose checksum covers far more. RFC 1624 eqn. 3
//! gives the new checksum from the old one: `HC' = ~(~HC + ~m + m')`, in one's-complement arithmetic.
//! Everything but `HC` depends on the flow alone, so a flow keeps the *delta* `~m + m'` of its address
//! and of its port, and a packet pays one addition each. One's-complement sums do not care about byte
//! order as long as all words are read alike, so words are taken in native order throughout.

use crate::{flow::Addr, wire::wide32};

/// What decrementing the TTL, the first byte of its word, adds to the header's sum.
pub const TTL_DELTA: u16 = !u16::from_ne_bytes([1, 0]);

/// Folds carries until 16 bits are left.
#[inline(always)]
#[must_use]
pub const fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// The delta of one word that changes, both in native order.
#[inline(always)]
#[must_use]
pub const fn word_delta(old: u16, new: u16) -> u16 {
    fold((!old) as u32 + new as u32)
}

/// The delta of a port (or echo identifier), given as numbers.
#[inline(always)]
#[must_use]
pub const fn port_delta(old: u16, new: u16) -> u16 {
    word_delta(old.to_be(), new.to_be())
}

/// The delta of an address.
#[inline(always)]
#[must_use]
pub const fn addr_delta(old: Addr, new: Addr) -> u16 {
    let high = word_delta(
        u16::from_ne_bytes([old[0], old[1]]),
        u16::from_ne_bytes([new[0], new[1]]),
    );
    let low = word_delta(
        u16::from_ne_bytes([old[2], old[3]]),
        u16::from_ne_bytes([new[2], new[3]]),
    );
    fold(high as u32 + low as u32)
}

/// The new checksum: `delta` is a sum of at most 65,536 deltas.
#[inline(always)]
#[must_use]
pub const fn adjust(old: u16, delta: u32) -> u16 {
    !fold((!old) as u32 + delta)
}

/// As [`adjust`] under UDP's rules: 0 means "no checksum" and stays, a computed 0 is sent as 0xffff.
#[inline(always)]
#[must_use]
pub const fn adjust_udp(old: u16, delta: u32) -> u16 {
    if old == 0 {
        return 0;
    }
    match adjust(old, delta) {
        0 => 0xffff,
        new => new,
    }
}

/// The sum of an IPv4 header's fixed part.
#[inline(always)]
#[must_use]
pub fn header_sum(header: &[u8; 20]) -> u32 {
    let mut sum = 0;
    sum += wide32::<0, 20>(header);
    sum += wide32::<4, 20>(header);
    sum += wide32::<8, 20>(header);
    sum += wide32::<12, 20>(header);
    sum += wide32::<16, 20>(header);
    (sum & 0xffff) as u32 + (sum >> 16 & 0xffff) as u32 + (sum >> 32) as u32
}
