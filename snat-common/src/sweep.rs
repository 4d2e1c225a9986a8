//! How the daemon hands keys to the kernel's sweep program: as a packet.
//!
//! A frame of `prog_test_run`: 14 bytes that stand for an Ethernet header, a byte that says what to do
//! ([`Kind`]), one that goes with it or is zero, the tick of the look that found the keys, then up to [`MAX_KEYS`] keys.

use crate::{
    env::Env,
    flow::FlowKey,
    life::{bury, end, partner},
};

/// Offset of the byte that says what to do.
pub const FLAGS_AT: u32 = 14;
/// Offset of the number of the [`crate::settings::Filtering`] that mappings are given.
pub const FILTERING_AT: u32 = 15;
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
    /// `Out` keys of flows that the configuration allows no longer: ended, unless they were opened after the look.
    End = 5,
    /// Outer [`crate::MappingKey`]s: they let in whom the byte at [`FILTERING_AT`] says.
    Refilter = 6,
    /// Outer [`crate::MappingKey`]s that the configuration allows no longer: no new flow finds them.
    Revoke = 7,
}

/// Removes the flow whose `Out` entry has this key, as [`Kind::Flows`] or [`Kind::Unused`] says. True if it is gone.
#[inline(always)]
pub fn flush<E: Env>(env: &E, out_key: &FlowKey, looked: u32, unused: bool, now: u32) -> bool {
    let Some(in_key) = other_side(env, out_key, looked) else {
        return false;
    };
    let is_used = |key| {
        env.flow(key)
            .is_none_or(|flow| is_later(flow.life().last_seen(), looked))
    };
    !(unused && (is_used(out_key) || is_used(&in_key))) && bury(env, &in_key, now, true)
}

/// Ends the flow whose `Out` entry has this key, as [`Kind::End`] says. True if it was not before.
#[inline(always)]
pub fn end_flow<E: Env>(env: &E, out_key: &FlowKey, looked: u32, now: u32) -> bool {
    other_side(env, out_key, looked).is_some_and(|in_key| end(env, &in_key, now))
}

/// The `In` key of a flow that was opened no later than `looked`, by that of its `Out` entry, since it has the client: the
/// external side may be another's by now.
#[inline(always)]
fn other_side<E: Env>(env: &E, out_key: &FlowKey, looked: u32) -> Option<FlowKey> {
    let out = env.flow(out_key)?;
    if out.life().is_inbound() || is_later(out.created(), looked) {
        return None;
    }
    let in_key = partner(out_key, out);
    let back = env.flow(&in_key)?;
    (back.life().is_inbound() && back.target() == (out_key.src, out_key.src_port)).then_some(in_key)
}

#[inline(always)]
const fn is_later(tick: u32, looked: u32) -> bool {
    tick != looked && tick.wrapping_sub(looked) < u32::MAX / 2
}
