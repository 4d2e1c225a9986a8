//! A packet without a flow: whose is it, and may it open one?

use crate::{
    env::{Env, RouteKind},
    flow::{Addr, FlowKey, Protocol},
    life,
    mapping_ref::MappingRef,
    mappings,
    next_hop::query,
    packet::Packet,
    parse::{ETHERTYPE_IPV4, Parsed},
    settings::{Filtering, MAX_INTERFACES, PORT_SET_SLOTS, protocols},
    share, transfer,
    verdict::Verdict,
    wire::{be16, load32},
};

/// What a packet is granted: a flow of this client.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Index in `ENTRIES`.
    pub entry: u32,
    /// Index in `INTERFACES`.
    pub egress: u32,
    /// The client's address.
    pub client: Addr,
    /// Its port or echo identifier.
    pub client_port: u16,
    /// 1 if it is opened from outside, by the mapping that the packet was sent to.
    pub from_outside: u8,
    /// 1 if it would leave by a default route, and so by any of the interfaces that share these.
    pub balanced: u8,
}

impl Grant {
    /// Before anything is granted.
    pub const NONE: Self = Self {
        entry: 0,
        egress: 0,
        client: [0; 4],
        client_port: 0,
        from_outside: 0,
        balanced: 0,
    };
}

/// Decides on a packet that has no live flow. `again`: it is a hairpinned one, translated once already.
///
/// [`Verdict::TranslatedOut`] says that it may open one, as in `grant`; everything else is final.
#[inline(always)]
pub fn decide<E: Env>(
    env: &E,
    packet: &Parsed,
    frame_dst: [u8; 6],
    again: bool,
    grant: &mut Grant,
) -> Verdict {
    let decided = match env.source_entry(packet.key.src) {
        // What the client may open now need not wait for the end of what it had.
        Some(entry) if !again && (packet.opens || !packet.ended) => {
            grant.entry = entry;
            from_client(env, packet, frame_dst, grant)
        }
        _ if packet.ended => Verdict::FlowEnded,
        _ => from_outside(env, packet, again, grant),
    };
    transfer::settle(env, &packet.key, decided)
}

/// A client's packet that has no flow; the entry is in `grant`.
#[inline(never)]
fn from_client<E: Env>(env: &E, packet: &Parsed, frame_dst: [u8; 6], grant: &mut Grant) -> Verdict {
    let FlowKey { src, dst, .. } = packet.key;
    if is_multicast(dst) {
        return Verdict::Multicast;
    }
    if is_for_others(env, frame_dst) {
        return Verdict::NotOurs;
    }
    if env.external(src).is_some() {
        return Verdict::SpoofedSource;
    }
    if is_martian(src) || is_link_local(src) || dst[0] == 127 || is_link_local(dst) || src == dst {
        return Verdict::Martian;
    }
    grant.client = src;
    grant.client_port = packet.key.src_port;
    let ours = env.external(dst).is_some();
    if !ours && env.bypassed(dst) {
        return Verdict::Bypass;
    }
    // What stays here has no route; the one to anywhere says which address the client has outside.
    let route = env.route(&query(packet, if ours { [0; 4] } else { dst }));
    if ours {
        return to_ourselves(env, packet, route.ifindex, grant);
    }
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
        match too_big(packet, false) {
            // It opens its flow first: then the pieces find one.
            Verdict::Split => {}
            refused => return refused,
        }
    }
    if let Some(refused) = opens_none(env, packet) {
        return refused;
    }
    let Some(egress) = env.slot(route.ifindex) else {
        return Verdict::UnmanagedEgress;
    };
    grant.egress = egress;
    grant.balanced = share::is_default(env, &route, dst).into();
    Verdict::TranslatedOut
}

/// A client's packet to an external address, or to one of the host's own.
///
/// Where another client has that port, it is for that one (RFC 4787 REQ-9); else for the host.
#[inline(always)]
fn to_ourselves<E: Env>(env: &E, packet: &Parsed, outside: u32, grant: &mut Grant) -> Verdict {
    let FlowKey {
        dst,
        dst_port,
        protocol,
        ..
    } = packet.key;
    if packet.flaw.is_some()
        || !speaks_to_ports(protocol)
        || !mappings::is_live(env, &mappings::outer_key(dst, dst_port, protocol))
    {
        return Verdict::NotForwarded;
    }
    if packet.ttl <= 1 {
        return Verdict::TtlToStack;
    }
    if let Some(refused) = opens_none(env, packet) {
        return refused;
    }
    grant.egress = owner(env, dst, outside);
    Verdict::TranslatedOut
}

/// The interface whose address an entry with `external = ["auto"]` takes towards one of our own addresses: the
/// one that has it, else the one that leads outside. Never the client's own while there is another: the
/// address would be its endpoint's towards everybody.
#[inline(always)]
fn owner<E: Env>(env: &E, addr: Addr, outside: u32) -> u32 {
    let ingress = env.slot(env.ingress()).unwrap_or(0);
    let mut owner = env.slot(outside).unwrap_or(ingress);
    let mut slot = 0;
    while slot < MAX_INTERFACES {
        if env
            .interface(slot)
            .is_some_and(|interface| interface.addr == addr)
        {
            owner = slot;
        }
        slot += 1;
    }
    owner
}

/// Why a client's packet opens no flow, if it does not.
#[inline(always)]
fn opens_none<E: Env>(env: &E, packet: &Parsed) -> Option<Verdict> {
    if packet.flaw.is_some() {
        packet.flaw
    } else if !is_translated(env, packet.key.protocol) {
        Some(Verdict::UnknownProtocol)
    } else if packet.opens {
        None
    } else {
        Some(life::stray(packet.key.protocol))
    }
}

/// Whether the settings let flows of this protocol begin.
#[inline(always)]
fn is_translated<E: Env>(env: &E, protocol: Protocol) -> bool {
    let bit = match protocol {
        Protocol::Icmp | Protocol::Tcp | Protocol::Udp => return true,
        Protocol::UdpLite => protocols::UDP_LITE,
        Protocol::Sctp => protocols::SCTP,
        Protocol::Gre => protocols::GRE,
        Protocol::Esp => protocols::ESP,
        Protocol::Other => protocols::OTHERS,
    };
    env.settings()
        .is_some_and(|settings| settings.protocols & bit != 0)
}

/// A packet whose source is no client's and that has no flow.
#[inline(never)]
fn from_outside<E: Env>(env: &E, packet: &Parsed, again: bool, grant: &mut Grant) -> Verdict {
    let Some(sets) = env.external(packet.key.dst) else {
        return Verdict::NotOurs;
    };
    if !again && (is_martian(packet.key.src) || env.external(packet.key.src).is_some()) {
        return Verdict::Martian;
    }
    if packet.flaw.is_none() && speaks_to_ports(packet.key.protocol) {
        match to_a_port(env, packet, sets, grant) {
            Verdict::NotOurs => {}
            decided => return decided,
        }
    }
    // An external address that is also the host's own: its ssh, its own connections' replies.
    // One that is only routed to us would be routed back, and round and round.
    match env.route(&query(packet, packet.key.dst)).kind {
        RouteKind::NotForwarded => Verdict::NotOurs,
        RouteKind::Ready | RouteKind::NoNeighbour | RouteKind::Unusable => Verdict::NoMapping,
    }
}

/// A packet from outside to a port: a mapping's, one that may become one, or ([`Verdict::NotOurs`]) the host's.
#[inline(always)]
fn to_a_port<E: Env>(env: &E, packet: &Parsed, sets: u32, grant: &mut Grant) -> Verdict {
    let FlowKey {
        src,
        dst,
        dst_port,
        protocol,
        ..
    } = packet.key;
    let mapping = env
        .mapping(&mappings::outer_key(dst, dst_port, protocol))
        .filter(MappingRef::is_live);
    // What a socket of the host waits for is the host's (its resolver takes ports from everywhere), unless the
    // configuration says whose the port is.
    if !mapping.is_some_and(|mapping| mapping.is_static()) && env.has_socket(&packet.key) {
        return Verdict::NotOurs;
    }
    if let Some(mapping) = mapping
        && packet.opens
    {
        let (client, client_port) = mapping.target();
        grant.client = client;
        grant.client_port = client_port;
        grant.from_outside = 1;
        let permitted = match mapping.filtering() {
            filtering if filtering == Filtering::EndpointIndependent as u8 => true,
            filtering if filtering == Filtering::AddressDependent as u8 => {
                mappings::is_live(env, &mappings::permission_key(dst, dst_port, protocol, src))
            }
            _ => false,
        };
        return match env.route(&query(packet, client)).kind {
            // The host's own services are there (metadata, names, time), and no router forwards them.
            _ if !permitted || is_link_local(src) => Verdict::Filtered,
            RouteKind::NotForwarded | RouteKind::Unusable => Verdict::Unreachable,
            _ if packet.ttl <= 1 => Verdict::TtlExpired,
            _ => Verdict::TranslatedOut,
        };
    }
    if mapping.is_none() && !in_sets(env, sets, dst_port) {
        return Verdict::NotOurs;
    }
    // A SYN is not answered: the client's own may be on its way (RFC 5382 REQ-4).
    if matches!(protocol, Protocol::Tcp) && !packet.opens {
        Verdict::StrayIn
    } else {
        Verdict::Unsolicited
    }
}

/// Whether a port is in one of the port sets given as bits.
#[inline(always)]
fn in_sets<E: Env>(env: &E, sets: u32, port: u16) -> bool {
    let mut set = 0;
    let mut found = false;
    while set < PORT_SET_SLOTS {
        let word = env.allowed(set, u32::from(port) / 64);
        found |= sets >> set & 1 != 0 && word >> (port % 64) & 1 != 0;
        set += 1;
    }
    found
}

/// Whether what comes from outside names a port of ours. (Echo: the identifier in a request is its sender's.)
#[inline(always)]
const fn speaks_to_ports(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Tcp | Protocol::Udp | Protocol::UdpLite)
}

/// Whether the frame was sent to another station (a flooded or mirrored frame, or a broadcast one):
/// the stack would not forward it either.
#[inline(always)]
fn is_for_others<E: Env>(env: &E, frame_dst: [u8; 6]) -> bool {
    env.slot(env.ingress())
        .and_then(|slot| env.interface(slot))
        .is_some_and(|interface| interface.mac != frame_dst)
}

/// The verdict for a packet larger than its way: without DF it is cut up; a client with DF set is told by
/// the stack, a server by us, for to the stack the packet would be its own.
#[inline(always)]
pub fn too_big(packet: &Parsed, ours_to_tell: bool) -> Verdict {
    match (packet.dont_fragment, ours_to_tell) {
        // Merged packets are the length of one that fits, or somebody's mistake.
        (false, _) if packet.wire.packets == 1 => Verdict::Split,
        (true, false) => Verdict::TooBigToStack,
        _ => Verdict::TooBig,
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
        && env.external(src).is_none()
        && !env.bypassed(dst)
        && !is_multicast(dst)
}

/// Sources that no packet on a wire has: this network, loopback, multicast and what is reserved
/// (RFC 1812 §5.3.7, RFC 6890).
#[inline(always)]
const fn is_martian(src: Addr) -> bool {
    matches!(src[0], 0 | 127 | 224..)
}

/// 169.254.0.0/16, which no router forwards (RFC 3927 §2.7): a cloud's metadata service would take the client
/// for the gateway.
#[inline(always)]
const fn is_link_local(addr: Addr) -> bool {
    addr[0] == 169 && addr[1] == 254
}

/// 224.0.0.0/4 and the limited broadcast.
#[inline(always)]
fn is_multicast(addr: Addr) -> bool {
    addr[0] & 0xf0 == 0xe0 || addr == [0xff; 4]
}
