//! How the daemon hands keys to the kernel's sweep program: as a packet.
//!
//! A frame of `prog_test_run`: 14 bytes that stand for an Ethernet header, a byte that says what to do
//! ([`Kind`]), a zero byte, then up to [`MAX_KEYS`] keys.

/// Offset of the byte that says what to do.
pub const FLAGS_AT: u32 = 14;
/// Offset of the first key.
pub const KEYS_AT: u32 = 16;
/// Most keys in one run.
pub const MAX_KEYS: u32 = 128;

/// What the keys are, and what to do with them.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `In` keys of flows ([`crate::FlowKey`]): removed if they have expired.
    Expired = 0,
    /// The same: removed also if they are alive.
    Flows = 1,
    /// [`crate::MappingKey`]s of mappings and permissions: removed if they have rested.
    Mappings = 2,
    /// [`crate::Addr`]esses of clients: no longer counted if they have no flow.
    Clients = 3,
}
