//! The short way: a packet of a flow that lives, whose route is known, with nothing unusual about it.
//!
//! That is TCP or UDP behind an IPv4 header without options, whole, and no SYN, whose MSS may have to be lowered.
//! Everything else is left as it came to [`crate::engine`], which decides anew from the start. So this program stays
//! small, and what is rare costs a packet that isn't nothing: each header is one window, read in as few loads as it
//! has words, and nothing is kept that the next line does not need.

use crate::{
    checksum,
    engine::{Outcome, Wire, frame_dst, fresh_id},
    env::Env,
    flow::{FlowKey, Protocol},
    flow_ref::FlowRef,
    life::{self, Tracked},
    next_hop::{self, Hop},
    packet::{ETH_LEN, OnWire, Packet, TransportChange},
    parse::{Parsed, parse},
    rewrite::{renumber, write_addr, write_macs},
    settings::Settings,
    tcp,
    verdict::Verdict,
    wire::{be16, load16, load32, load64, store16},
};

/// Ethernet, IPv4, UDP or as much of TCP.
const HEAD: usize = 42;
/// The rest of TCP's fixed header.
const TCP_REST: usize = 12;

/// Translates a frame in place if it is such a packet. `None`: it is as it came.
#[inline(always)]
pub fn fast<P: Packet, E: Env>(packet: &mut P, env: &E) -> Option<Outcome> {
    let settings = env.settings()?;
    let mut key = FlowKey::NONE;
    let plain = Plain::read(packet, &mut key)?;
    let now = env.now();
    let mut flow = env.flow(&key)?;
    if life::needs_tracking(settings, plain.protocol, plain.tcp_flags, flow.life(), now) {
        if life::track(env, read_all(packet, env)?, now) != Tracked::Alive {
            return None;
        }
        // Looked up anew: the element may have become another flow's before it was settled.
        flow = env.flow(&key)?;
    }
    let hop = way(packet, env, settings, &key, flow, now)?;
    let OnWire { packets, largest } = packet.on_wire(plain.ip_len, plain.headers);
    if hop.ifindex == env.ingress() && frame_dst(packet).ok()? != hop.src_mac
        || largest > u32::from(hop.mtu)
    {
        return None;
    }
    let wire = Wire::merged(packet.frame_len(), packets, plain.headers);
    let verdict = translate(packet, env, &plain, flow, &hop, packets);
    if verdict.is_some() {
        let bytes = u32::from(plain.ip_len) + (packets - 1) * plain.headers;
        flow.count(now, packets, bytes, E::ONE_AFTER_THE_OTHER);
    }
    Some(Outcome {
        verdict: verdict.unwrap_or(Verdict::RewriteFailed),
        hop,
        wire,
    })
}

/// What is read of such a packet.
struct Plain {
    protocol: Protocol,
    ip_len: u16,
    /// Length of the IP and transport headers together.
    headers: u32,
    tcp_flags: u8,
    ttl: u8,
    dont_fragment: bool,
}

impl Plain {
    #[inline(always)]
    fn read<P: Packet>(packet: &P, key: &mut FlowKey) -> Option<Self> {
        let head = packet.window::<HEAD>(0)?;
        // IPv4 without options; whole; a TTL that can be lowered.
        if load32::<12, HEAD>(head) & u32::from_ne_bytes([0xff, 0xff, 0xff, 0])
            != u32::from_ne_bytes([0x08, 0x00, 0x45, 0])
            || load16::<20, HEAD>(head) & u16::from_ne_bytes([0x3f, 0xff]) != 0
            || head[22] <= 1
        {
            return None;
        }
        let ip_len = be16::<16, HEAD>(head);
        if ETH_LEN + u32::from(ip_len) > packet.frame_len()
            || checksum::fold(checksum::header_sum(ip_header(head))) != 0xffff
        {
            return None;
        }
        let (protocol, headers, tcp_flags) = match head[23] {
            17 => {
                let length = u32::from(be16::<38, HEAD>(head));
                if length < 8 || length + 20 > u32::from(ip_len) {
                    return None;
                }
                (Protocol::Udp, 28, 0)
            }
            6 => {
                let rest = packet.window::<TCP_REST>(HEAD as u32)?;
                let headers = 20 + u32::from(rest[4] >> 4) * 4;
                if headers < 40 || headers > u32::from(ip_len) || rest[5] & tcp::SYN != 0 {
                    return None;
                }
                (Protocol::Tcp, headers, rest[5])
            }
            _ => return None,
        };
        let (addrs, ports) = (load64::<26, HEAD>(head), load32::<34, HEAD>(head));
        key.set(addrs, ports, protocol);
        Some(Self {
            protocol,
            ip_len,
            headers,
            tcp_flags,
            ttl: head[22],
            dont_fragment: head[20] & 0x40 != 0,
        })
    }
}

#[inline(always)]
fn ip_header(head: &[u8; HEAD]) -> &[u8; 20] {
    let (_, ip) = head.split_at(ETH_LEN as usize);
    ip.first_chunk().unwrap_or(&[0; 20])
}

/// The way out that the flow has kept; if it is none any more, what the FIB says now.
#[inline(always)]
fn way<P: Packet, E: Env>(
    packet: &P,
    env: &E,
    settings: &Settings,
    key: &FlowKey,
    flow: FlowRef<'_>,
    now: u32,
) -> Option<Hop> {
    let generation = next_hop::generation(settings, now);
    if let Some(kept) = flow.next_hop(generation) {
        return next_hop::cached(env, kept);
    }
    // To another client's external address: the FIB would send it out where that is no address of ours any more.
    if !flow.life().is_inbound() && env.external(key.dst).is_some() {
        return None;
    }
    let mut hop = Hop::NONE;
    next_hop::find(env, read_all(packet, env)?, flow, generation, &mut hop).ok()?;
    // Who has to be asked for an address first is the engine's.
    (hop.unresolved == [0; 4]).then_some(hop)
}

#[inline(always)]
fn translate<P: Packet, E: Env>(
    packet: &mut P,
    env: &E,
    plain: &Plain,
    flow: FlowRef<'_>,
    hop: &Hop,
    packets: u32,
) -> Option<Verdict> {
    let life = flow.life();
    let target = flow.target();
    let is_udp = matches!(plain.protocol, Protocol::Udp);
    let change = TransportChange {
        addr_delta: flow.addr_delta(),
        port_delta: life.port_delta(),
        zero_means_none: is_udp,
    };
    // First, for in TC the helper may move the packet.
    if is_udp {
        packet.adjust_transport_checksum(40, change)?;
    } else {
        packet.adjust_transport_checksum(50, change)?;
    }
    let head = packet.window_mut::<HEAD>(0)?;
    write_macs(head, hop);
    head[22] = plain.ttl - 1;
    let delta = u32::from(change.addr_delta) + u32::from(checksum::TTL_DELTA);
    write_addr(head, life.is_inbound(), target.0, delta);
    if life.is_inbound() {
        store16::<36, HEAD>(head, target.1.to_be());
        return Some(Verdict::TranslatedIn);
    }
    store16::<34, HEAD>(head, target.1.to_be());
    if !plain.dont_fragment {
        renumber(head, fresh_id(env, packets));
    }
    Some(Verdict::TranslatedOut)
}

/// All that there is to read, for who decides anything.
#[inline(never)]
fn read_all<'a, P: Packet, E: Env>(packet: &P, env: &'a E) -> Option<&'a mut Parsed> {
    env.keep(parse(packet).ok()?)
}
