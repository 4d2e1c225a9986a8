//! Where a translated packet goes: the route cached in its flow, or the kernel's FIB.

use crate::{
    env::{Env, Route, RouteKind, RouteQuery},
    flow::{Addr, FlowKey, Protocol},
    flow_ref::{CachedHop, FlowRef},
    parse::Parsed,
    settings::Settings,
    verdict::Verdict,
};

/// Ticks after which a cached route is looked up anew even if nobody said that routes changed: 17 s.
///
/// So a gateway whose daemon is dead still follows its routes, only later.
const CACHE_TICKS_SHIFT: u32 = 10;

/// Link-layer side of a way out. Aligned, so that it is made in a few stores.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Interface to send on.
    pub ifindex: u32,
    /// If not 0.0.0.0: this next hop's link-layer address must be asked for first.
    pub unresolved: Addr,
    /// Link-layer source.
    pub src_mac: [u8; 6],
    /// Link-layer destination.
    pub dst_mac: [u8; 6],
    /// Largest IP packet.
    pub mtu: u16,
    /// The packet does not leave yet: only its source is rewritten, and it is looked at again.
    pub stays: bool,
}

impl Hop {
    /// Before it is found.
    pub const NONE: Self = Self {
        ifindex: 0,
        unresolved: [0; 4],
        src_mac: [0; 6],
        dst_mac: [0; 6],
        mtu: 0,
        stays: false,
    };
}

/// The generation that cached routes must have to be used now.
#[inline(always)]
pub fn generation(settings: &Settings, now: u32) -> u16 {
    settings.generation.wrapping_add(now >> CACHE_TICKS_SHIFT) as u16
}

/// The way out for a packet of a flow: from the flow, else from the FIB.
#[inline(always)]
pub fn find<E: Env>(
    env: &E,
    packet: &Parsed,
    flow: FlowRef<'_>,
    generation: u16,
    hop: &mut Hop,
) -> Result<(), Verdict> {
    if let Some(known) = flow.next_hop(generation).and_then(|kept| cached(env, kept)) {
        *hop = known;
        return Ok(());
    }
    match look_up(env, packet, flow, generation, hop) {
        LookUp::Found => Ok(()),
        LookUp::Failed(verdict) => Err(verdict),
    }
}

/// The way out that a flow has kept.
#[inline(always)]
pub(crate) fn cached<E: Env>(env: &E, kept: CachedHop) -> Option<Hop> {
    let interface = env.interface(u32::from(kept.egress))?;
    Some(Hop {
        ifindex: interface.ifindex,
        src_mac: interface.mac,
        dst_mac: kept.mac,
        mtu: kept.mtu,
        ..Hop::NONE
    })
}

enum LookUp {
    Found,
    Failed(Verdict),
}

/// Asks the FIB and keeps a complete answer in the flow.
#[inline(never)]
fn look_up<E: Env>(
    env: &E,
    packet: &Parsed,
    flow: FlowRef<'_>,
    generation: u16,
    hop: &mut Hop,
) -> LookUp {
    let by_source = leaves_by_source(env, flow);
    let route = env.route(&translated_query(packet, flow, by_source));
    match route.kind {
        // The stack would ask with the client's source, and get another answer.
        RouteKind::NotForwarded if by_source => return LookUp::Failed(Verdict::Unreachable),
        RouteKind::NotForwarded => return LookUp::Failed(Verdict::NotForwarded),
        RouteKind::Unusable => return LookUp::Failed(Verdict::Unreachable),
        RouteKind::NoNeighbour if !E::RESOLVES_NEIGHBOURS => {
            return LookUp::Failed(Verdict::NeighbourToStack);
        }
        RouteKind::NoNeighbour | RouteKind::Ready => {}
    }
    let Some(slot) = env.slot(route.ifindex) else {
        return LookUp::Failed(Verdict::UnmanagedEgress);
    };
    let Some(interface) = env.interface(slot) else {
        return LookUp::Failed(Verdict::UnmanagedEgress);
    };
    hop.ifindex = route.ifindex;
    hop.src_mac = interface.mac;
    hop.dst_mac = route.mac;
    hop.mtu = route.mtu;
    if matches!(route.kind, RouteKind::NoNeighbour) {
        hop.unresolved = route.gateway;
    } else if !packet.icmp_error
        && let Some(flow) = env.flow(&packet.key)
    {
        // An error's route may differ: rules can look at protocol and type of service.
        let cached = CachedHop {
            egress: slot as u8,
            mtu: route.mtu,
            mac: route.mac,
        };
        flow.set_next_hop(cached, generation);
    }
    LookUp::Found
}

/// Whether a flow's packets leave by the interface that its external address belongs to, wherever other routes lead.
#[inline(always)]
pub fn leaves_by_source<E: Env>(env: &E, flow: FlowRef<'_>) -> bool {
    !flow.life().is_inbound() && env.has_own_routes(flow.target().0)
}

/// The FIB question for a packet of a flow, as it will be translated.
#[inline(always)]
fn translated_query(packet: &Parsed, flow: FlowRef<'_>, by_source: bool) -> RouteQuery {
    let (target, _) = flow.target();
    if flow.life().is_inbound() {
        return query(packet, target);
    }
    let asked = query(packet, packet.key.dst);
    RouteQuery {
        src: if by_source { target } else { asked.src },
        ..asked
    }
}

/// The FIB question for a packet that is to reach `dst`.
#[inline(always)]
pub fn query(packet: &Parsed, dst: Addr) -> RouteQuery {
    let FlowKey {
        src,
        src_port,
        dst_port,
        protocol,
        ..
    } = packet.key;
    // An echo identifier is no port.
    let ports = if matches!(protocol, Protocol::Icmp) {
        (0, 0)
    } else {
        (src_port, dst_port)
    };
    RouteQuery {
        src,
        dst,
        ports,
        protocol: packet.ip_protocol,
        tos: packet.tos,
    }
}

/// The answer where there is no route to speak of.
#[must_use]
pub const fn not_forwarded() -> Route {
    Route {
        kind: RouteKind::NotForwarded,
        ifindex: 0,
        mtu: 0,
        mac: [0; 6],
        gateway: [0; 4],
        metric: 0,
    }
}
