//! Packets at an even pace that say when they were made, and how long they took: `snat-ebpf/src/pace.rs`.

use super::{WRITTEN, halves};
use crate::checksum::fold;

/// How fast packets are made: the element of the per-CPU map `PACE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// From one packet to the next, in 1/1024 ns.
    pub interval: u64,
    /// When the next is due, in 1/1024 ns of the monotonic clock.
    pub due: u64,
}

/// Nanoseconds that [`Pace::is_due`] makes up for.
pub const CATCH_UP: u64 = 20_000;

/// Bytes of a frame up to the end of its stamp, which is behind the flow's number.
pub const STAMPED: usize = WRITTEN + 4;

/// How many buckets the per-CPU map `TIMES` has; the last is of all that took longer than 17 ms.
pub const BUCKETS: u32 = 32_768;
/// So many of them are [`FINE_SHIFT`] wide: up to 262 us.
const FINE: u32 = BUCKETS / 2;
/// Nanoseconds of these, as a shift.
const FINE_SHIFT: u32 = 4;
/// Nanoseconds of those beyond, as a shift.
const COARSE_SHIFT: u32 = 10;

impl Pace {
    /// As many packets per second, from now on.
    #[must_use]
    pub fn of(packets_per_second: u64) -> Self {
        Self {
            interval: (1_000_000_000 << 10) / packets_per_second.max(1),
            due: 0,
        }
    }

    /// Whether a packet is due at this time, in nanoseconds. Who comes late makes up for at most [`CATCH_UP`].
    #[inline(always)]
    pub fn is_due(&mut self, now: u64) -> bool {
        let now = now << 10;
        if now < self.due {
            return false;
        }
        self.due = self.due.max(now.saturating_sub(CATCH_UP << 10)) + self.interval;
        true
    }
}

/// Writes the time into a frame that has none, and brings its UDP checksum up to date.
#[inline(always)]
pub fn stamp(frame: &mut [u8; STAMPED], now: u64) {
    let now = now as u32;
    let sum = u16::from_be_bytes([frame[40], frame[41]]);
    let sum = !fold(u32::from(!sum) + halves(now));
    [frame[40], frame[41]] = sum.to_be_bytes();
    [frame[46], frame[47], frame[48], frame[49]] = now.to_be_bytes();
}

/// Nanoseconds since a frame was stamped. They wrap after four seconds.
#[inline(always)]
#[must_use]
pub fn age(frame: &[u8; STAMPED], now: u64) -> u32 {
    let made = u32::from_be_bytes([frame[46], frame[47], frame[48], frame[49]]);
    (now as u32).wrapping_sub(made)
}

/// The bucket of a time in nanoseconds.
#[inline(always)]
#[must_use]
pub const fn bucket(time: u32) -> u32 {
    let fine = time >> FINE_SHIFT;
    if fine < FINE {
        return fine;
    }
    let bucket = FINE + ((time - (FINE << FINE_SHIFT)) >> COARSE_SHIFT);
    if bucket < BUCKETS {
        bucket
    } else {
        BUCKETS - 1
    }
}

/// The nanoseconds at which a bucket ends; the last has no end.
#[must_use]
pub const fn end(bucket: u32) -> u32 {
    let next = bucket + 1;
    if next <= FINE {
        next << FINE_SHIFT
    } else {
        (FINE << FINE_SHIFT) + ((next - FINE) << COARSE_SHIFT)
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, bucket, end};

    #[test]
    fn each_bucket_ends_where_the_next_begins() {
        for at in 0..BUCKETS - 1 {
            assert_eq!((bucket(end(at) - 1), bucket(end(at))), (at, at + 1));
        }
    }

    #[test]
    fn the_last_bucket_takes_all_that_took_longer() {
        assert_eq!(bucket(u32::MAX), BUCKETS - 1);
        assert!(end(BUCKETS - 2) > 16_000_000);
    }
}
