//! How the daemon hands keys to the kernel's sweep program: as a packet.
//!
//! A frame of `prog_test_run`: 14 bytes that stand for an Ethernet header, a byte that says what to do
//! ([`Kind`]), a zero byte, the tick of the look that found the keys, then up to [`MAX_KEYS`] keys.

use crate::{
    env::Env,
    flow::FlowKey,
    life::{bury, partner},
};

/// Offset of the byte that says what to do.
pub const FLAGS_AT: u32 = 14;
/// Offset of the tick at which the look began that found the keys, in the machine's byte order.
pub const LOOKED_AT: u32 = 16;
/// Offset of the first key.
pub const KEYS_AT: u32 = 20;
/// Most keys in one run.
pub const MAX_KEYS: u32 = 128;

/// What the keys are, and what to do with them.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `In` keys of flows ([`crate::FlowKey`]): removed if they have expired.
    Expired = 0,
    /// `Out` keys of flows: removed, alive or not, unless they were opened after the look.
    Flows = 1,
    /// [`crate::MappingKey`]s of mappings and permissions: removed if they have rested.
    Mappings = 2,
    /// [`crate::Addr`]esses of clients: no longer counted if they have no flow.
    Clients = 3,
    /// As [`Kind::Flows`], but kept if they were used after the look.
    Unused = 4,
}

/// Removes the flow whose `Out` entry has this key, as [`Kind::Flows`] or [`Kind::Unused`] says. True if it is gone.
///
/// By that key, since it has the client: the external side may be another's by now.
#[inline(always)]
pub fn flush<E: Env>(env: &E, out_key: &FlowKey, looked: u32, unused: bool, now: u32) -> bool {
    let is_later = |tick: u32| tick != looked && tick.wrapping_sub(looked) < u32::MAX / 2;
    let Some(out) = env.flow(out_key) else {
        return false;
    };
    if out.life().is_inbound() || is_later(out.created()) {
        return false;
    }
    let in_key = partner(out_key, out);
    let Some(back) = env.flow(&in_key) else {
        return false;
    };
    let is_ours = back.life().is_inbound() && back.target() == (out_key.src, out_key.src_port);
    let is_used = is_later(out.life().last_seen()) || is_later(back.life().last_seen());
    is_ours && !(unused && is_used) && bury(env, &in_key, now, true)
}
