//! The short way: a packet of a flow that lives, whose route is known, with nothing unusual about it.
//!
//! Everything else is left as it came to [`crate::engine`], which decides anew from the start. So this
//! program stays small, and what is rare costs a packet that isn't nothing.

use crate::{
    engine::{Outcome, Wire, frame_dst, translate},
    env::Env,
    life::{self, Tracked},
    next_hop::{self, Hop},
    packet::Packet,
    parse::parse,
    tcp,
};

/// Translates a frame in place if it is such a packet. `None`: it is as it came.
#[inline(always)]
pub fn fast<P: Packet, E: Env>(packet: &mut P, env: &E) -> Option<Outcome> {
    let settings = env.settings()?;
    let parsed = parse(packet).ok()?;
    // A SYN may have its MSS lowered; a fragment has an account to be kept.
    if parsed.flaw.is_some()
        || parsed.piece.is_some()
        || parsed.ttl <= 1
        || parsed.tcp_flags & tcp::SYN != 0
    {
        return None;
    }
    let now = env.now();
    let mut flow = env.flow(&parsed.key)?;
    if life::needs_tracking(settings, &parsed, flow.life(), now) {
        if life::track(env, &parsed, now) != Tracked::Alive {
            return None;
        }
        // Looked up anew: the element may have become another flow's before it was settled.
        flow = env.flow(&parsed.key)?;
    }
    let mut hop = Hop::NONE;
    let generation = next_hop::generation(settings, now);
    next_hop::find(env, &parsed, flow, generation, &mut hop).ok()?;
    if hop.ifindex == env.ingress() && frame_dst(packet).ok()? != hop.src_mac
        || parsed.wire.largest > u32::from(hop.mtu)
    {
        return None;
    }
    Some(Outcome {
        wire: Wire::of(packet.frame_len(), &parsed),
        verdict: translate(packet, env, &parsed, flow, now, &hop),
        hop,
    })
}
