//! How many ports a search tries before it has one: a histogram, from which metrics are made.

/// Element of map `CLAIM_TRIES` that counts searches of `tries` ports: element `i` has those of at most `2^i`.
#[inline(always)]
#[must_use]
pub const fn bucket(tries: u32) -> u32 {
    let mut bucket = 0;
    while bucket < BUCKETS - 1 && tries > 1 << bucket {
        bucket += 1;
    }
    bucket
}

/// How many elements count searches; the last one has all the rest.
pub const BUCKETS: u32 = 14;
/// The element with the sum of all tries.
pub const SUM: u32 = BUCKETS;
/// How many elements there are.
pub const ELEMENTS: u32 = BUCKETS + 1;

const _: () = assert!(bucket(0) == 0 && bucket(1) == 0 && bucket(2) == 1 && bucket(5) == 3);
const _: () = assert!(bucket(4096) == 12 && bucket(u32::MAX) == BUCKETS - 1);
