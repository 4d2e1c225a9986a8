//! Time as the tables have it: ticks of 2^24 ns, which wrap after two years.

/// Ticks since `then`; 0 if another CPU's clock was read a moment later than ours.
#[inline(always)]
#[must_use]
pub const fn age(now: u32, then: u32) -> u32 {
    let age = now.wrapping_sub(then);
    if age > u32::MAX / 2 { 0 } else { age }
}
