//! How the daemon hands keys to the kernel's sweep program: as a packet.
//!
//! A frame of `prog_test_run`: 14 bytes that stand for an Ethernet header, a byte of flags, a zero byte,
//! then up to [`MAX_KEYS`] keys of direction `In`.

/// Offset of the flags: 0, or 1 to remove flows that are alive as well.
pub const FLAGS_AT: u32 = 14;
/// Offset of the first key.
pub const KEYS_AT: u32 = 16;
/// Most keys in one run.
pub const MAX_KEYS: u32 = 128;
