//! A packet without a flow: whose is it, and may it open one?

use crate::{
    env::{Env, RouteKind},
    flow::{Addr, FlowKey},
    life,
    next_hop::query,
    packet::Packet,
    parse::{ETHERTYPE_IPV4, Parsed},
    verdict::Verdict,
    wire::{be16, load32},
};

/// What a client's packet is granted: a flow of this SNAT entry, over this interface.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// Index in `ENTRIES`.
    pub entry: u32,
    /// Index in `INTERFACES`.
    pub egress: u32,
}

/// Decides on a packet that has no live flow.
///
/// [`Verdict::TranslatedOut`] says that it may open one, as in `grant`; everything else is final.
#[inline(never)]
pub fn decide<E: Env>(env: &E, packet: &Parsed, frame_dst: [u8; 6], grant: &mut Grant) -> Verdict {
    let FlowKey { src, dst, .. } = packet.key;
    let Some(entry) = env.source_entry(src) else {
        return from_outside(env, packet);
    };
    if is_multicast(dst) {
        return Verdict::Multicast;
    }
    if is_for_others(env, frame_dst) {
        return Verdict::NotOurs;
    }
    if env.is_external(src) {
        return Verdict::SpoofedSource;
    }
    if env.bypassed(dst) {
        return Verdict::Bypass;
    }
    let route = env.route(&query(packet, dst));
    match route.kind {
        RouteKind::NotForwarded => return Verdict::NotForwarded,
        RouteKind::Unusable => return Verdict::Unreachable,
        RouteKind::NoNeighbour if !E::RESOLVES_NEIGHBOURS => return Verdict::NeighbourToStack,
        RouteKind::NoNeighbour | RouteKind::Ready => {}
    }
    if packet.ttl <= 1 {
        return Verdict::TtlToStack;
    }
    if packet.wire.largest > u32::from(route.mtu) {
        return too_big(packet, false);
    }
    if let Some(flaw) = packet.flaw {
        return flaw;
    }
    if !packet.opens {
        return life::stray(packet.key.protocol);
    }
    let Some(egress) = env.slot(route.ifindex) else {
        return Verdict::UnmanagedEgress;
    };
    *grant = Grant { entry, egress };
    Verdict::TranslatedOut
}

/// A packet whose source is no client's and that has no flow.
#[inline(always)]
fn from_outside<E: Env>(env: &E, packet: &Parsed) -> Verdict {
    if !env.is_external(packet.key.dst) {
        return Verdict::NotOurs;
    }
    // An external address that is also the host's own: its ssh, its own connections' replies.
    // One that is only routed to us would be routed back, and round and round.
    match env.route(&query(packet, packet.key.dst)).kind {
        RouteKind::NotForwarded => Verdict::NotOurs,
        RouteKind::Ready | RouteKind::NoNeighbour | RouteKind::Unusable => Verdict::NoMapping,
    }
}

/// Whether the frame was sent to another station (a flooded or mirrored frame, or a broadcast one):
/// the stack would not forward it either.
#[inline(always)]
fn is_for_others<E: Env>(env: &E, frame_dst: [u8; 6]) -> bool {
    env.slot(env.ingress())
        .and_then(|slot| env.interface(slot))
        .is_some_and(|interface| interface.mac != frame_dst)
}

/// The verdict for a packet larger than its way: a client with DF set is told by the stack.
#[inline(always)]
pub fn too_big(packet: &Parsed, inbound: bool) -> Verdict {
    if packet.dont_fragment && !inbound {
        Verdict::TooBigToStack
    } else {
        Verdict::TooBig
    }
}

/// Whether a frame on its way out is a client's that nobody translated.
///
/// The stack gets packets it should answer, not forward; should it see a way that the engine did not
/// see, this is where they end. What the host itself sends ([`Env::ingress`] is 0) is its own.
#[inline(always)]
pub fn leaks<P: Packet, E: Env>(frame: &P, env: &E) -> bool {
    if env.ingress() == 0 {
        return false;
    }
    let Some(head) = frame.window::<34>(0) else {
        return false;
    };
    let src = load32::<26, 34>(head).to_ne_bytes();
    let dst = load32::<30, 34>(head).to_ne_bytes();
    be16::<12, 34>(head) == ETHERTYPE_IPV4
        && env.source_entry(src).is_some()
        && !env.is_external(src)
        && !env.bypassed(dst)
        && !is_multicast(dst)
}

/// 224.0.0.0/4 and the limited broadcast.
#[inline(always)]
fn is_multicast(addr: Addr) -> bool {
    addr[0] & 0xf0 == 0xe0 || addr == [0xff; 4]
}
