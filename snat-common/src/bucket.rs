//! A token bucket in one word: how many more of something are allowed now.
//!
//! The word has the time of the last refill in its upper half (ticks) and what is left, in 1/256 of a
//! token, in its lower. A bucket holds what flows into it in a second. A word of 0 is a full bucket.

use core::ptr::NonNull;

use crate::atomic;

/// Ticks of 2^24 ns in a second, times 256.
const SECOND: u64 = (1_000_000_000 << 8) >> crate::settings::TICK_SHIFT;
const TOKEN: u64 = 256;
/// Lost races after which the caller gets nothing: somebody else did.
const RETRIES: u32 = 8;

/// Takes a token where `per_second` flow in. False where there is none left.
///
/// # Safety
/// `word` is valid and 8-byte aligned, and every access to it is atomic.
#[inline(never)]
pub unsafe fn take(word: NonNull<u64>, per_second: u32, now: u32) -> bool {
    let full = u64::from(per_second) * TOKEN;
    // A bucket never used: its clock must not read 0.
    let now = if now == 0 { 1 } else { now };
    let mut tries = 0;
    while tries < RETRIES {
        tries += 1;
        // SAFETY: the caller's.
        let old = unsafe { word.as_ptr().read_volatile() };
        let then = (old >> 32) as u32;
        let passed = now.wrapping_sub(then);
        // Another CPU's clock may be a moment ahead.
        let (passed, now) = if old != 0 && passed > u32::MAX / 2 {
            (0, then)
        } else {
            (u64::from(passed), now)
        };
        let level = if old == 0 || passed * TOKEN >= SECOND {
            full
        } else {
            // Less than a second passed: below 2^32 * 2^8.
            full.min((old & 0xffff_ffff) + full * passed * TOKEN / SECOND)
        };
        if level < TOKEN {
            return false;
        }
        let new = u64::from(now) << 32 | (level - TOKEN);
        // SAFETY: the caller's.
        if unsafe { atomic::compare_exchange(word.as_ptr(), old, new) } {
            return true;
        }
    }
    false
}
