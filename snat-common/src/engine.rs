//! A packet's way through the NAT, in the order it is walked.
//!
//! parse -> flow lookup -> (hit) state and age -> next hop -> size -> rewrite -> forward
//!                     \-> (miss) policy -> claim -> as a hit
//!
//! [`crate::fast`] is the same for a packet about which there is nothing to decide.

use crate::{
    env::Env,
    flow_ref::FlowRef,
    fragment,
    icmp_error::{self, Quoted},
    life::{self, Tracked},
    mss,
    next_hop::{self, Hop},
    packet::{ETH_LEN, OnWire, Packet},
    parse::{Parsed, parse},
    policy::{Grant, decide, too_big},
    rewrite::{Translation, rewrite},
    settings::Settings,
    tcp,
    verdict::Verdict,
    wire::{load16, load32},
};

/// What became of a packet and, if it is to be sent, where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Decides what the hook does.
    pub verdict: Verdict,
    /// The way out where the verdict is to forward; the size it has where the packet is too large for it.
    pub hop: Hop,
    /// What it is to the wire.
    pub wire: Wire,
}

/// A frame as it is counted: one that was merged of several is as many as the wire carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Packets.
    pub packets: u32,
    /// Their bytes, Ethernet headers included.
    pub bytes: u32,
}

impl Wire {
    /// A frame that is one packet.
    #[inline(always)]
    #[must_use]
    pub const fn one(bytes: u32) -> Self {
        Self { packets: 1, bytes }
    }

    /// A frame with these headers.
    #[inline(always)]
    #[must_use]
    pub fn of(frame_len: u32, parsed: &Parsed) -> Self {
        Self::merged(frame_len, parsed.wire.packets, parsed.headers)
    }

    /// A frame of so many packets, each with IP and transport headers of `headers` bytes.
    #[inline(always)]
    #[must_use]
    pub const fn merged(frame_len: u32, packets: u32, headers: u32) -> Self {
        let more = packets.wrapping_sub(1);
        Self {
            packets,
            bytes: frame_len.wrapping_add(more.wrapping_mul(ETH_LEN + headers)),
        }
    }
}

/// Decides on a frame and, if it is to be forwarded, translates it in place.
///
/// `again`: it has been here before and came back as [`crate::Action::Again`]. A frame that is passed or
/// refused leaves as it came.
#[inline(always)]
pub fn process<P: Packet, E: Env>(packet: &mut P, env: &E, again: bool) -> Outcome {
    let mut hop = Hop::NONE;
    let mut wire = Wire::one(packet.frame_len());
    let verdict = match walk(packet, env, again, &mut hop, &mut wire) {
        Ok(verdict) | Err(verdict) => verdict,
    };
    Outcome { verdict, hop, wire }
}

#[inline(always)]
fn walk<P: Packet, E: Env>(
    packet: &mut P,
    env: &E,
    again: bool,
    hop: &mut Hop,
    wire: &mut Wire,
) -> Result<Verdict, Verdict> {
    let settings = env.settings().ok_or(Verdict::NotOurs)?;
    let parsed = env.keep(parse(packet)?).ok_or(Verdict::NotOurs)?;
    *wire = Wire::of(wire.bytes, parsed);
    let now = env.now();
    if !parsed.piece.is_some() {
        return follow(packet, env, settings, parsed, now, again, hop);
    }
    granted(fragment::recognise(env, parsed, now))?;
    let end = follow(packet, env, settings, parsed, now, again, hop);
    let (Ok(verdict) | Err(verdict)) = end;
    fragment::settle(env, parsed, verdict, now);
    end
}

#[inline(always)]
fn follow<P: Packet, E: Env>(
    packet: &mut P,
    env: &E,
    settings: &Settings,
    parsed: &mut Parsed,
    now: u32,
    again: bool,
    hop: &mut Hop,
) -> Result<Verdict, Verdict> {
    let mut quoted = Quoted::NONE;
    if parsed.icmp_error
        && icmp_error::recognise(packet, env, parsed, &mut quoted) == icmp_error::Kind::Invalid
    {
        return Err(Verdict::ErrorInvalid);
    }
    let flow = match live_flow(env, settings, parsed, &quoted, now)? {
        Some(flow) => flow,
        None => {
            let mut grant = Grant::NONE;
            let frame_dst = frame_dst(packet)?;
            granted(decide(env, parsed, frame_dst, again, &mut grant))?;
            granted(env.open(&parsed.key, &grant, now))?;
            env.flow(&parsed.key).ok_or(Verdict::FlowVanishing)?
        }
    };

    let inbound = flow.life().is_inbound();
    // Before the route, so that a loop ends here.
    if parsed.ttl <= 1 {
        return Err(if inbound {
            Verdict::TtlExpired
        } else {
            Verdict::TtlToStack
        });
    }
    if !inbound && env.external(parsed.key.dst).is_some() {
        hop.stays = true;
    } else {
        let generation = next_hop::generation(settings, now);
        next_hop::find(env, parsed, flow, generation, hop)
            .map_err(|verdict| unsent(verdict, inbound))?;
        // A flooded or mirrored frame of a flow: in one arm it can be told apart without another lookup.
        if hop.ifindex == env.ingress() && !again && frame_dst(packet)? != hop.src_mac {
            return Err(Verdict::NotOurs);
        }
        if parsed.wire.largest > u32::from(hop.mtu) {
            // Where the stack would look at other routes, it can't tell the client.
            let ours_to_tell = inbound || next_hop::leaves_by_source(env, flow);
            return Err(too_big(parsed, ours_to_tell));
        }
    }
    if quoted.is_some() {
        return if !icmp_error::rewrite(packet, env, parsed, &quoted, hop) {
            Err(Verdict::RewriteFailed)
        } else if hop.stays {
            Ok(Verdict::Hairpin)
        } else if inbound {
            Ok(Verdict::ErrorIn)
        } else {
            Ok(Verdict::ErrorOut)
        };
    }
    if parsed.piece.is_some() {
        granted(fragment::enter(env, parsed, inbound, now))?;
    }
    // A packet that stays has its way before it still.
    if parsed.tcp_flags & tcp::SYN != 0
        && settings.mss != 0
        && !hop.stays
        && !mss::clamp(packet, env, parsed, hop.mtu)
    {
        return Err(Verdict::RewriteFailed);
    }
    Ok(translate(packet, env, parsed, flow, now, hop))
}

/// Rewrites a flow's packet and counts it.
#[inline(always)]
pub(crate) fn translate<P: Packet, E: Env>(
    packet: &mut P,
    env: &E,
    parsed: &Parsed,
    flow: FlowRef<'_>,
    now: u32,
    hop: &Hop,
) -> Verdict {
    let (addr, port) = flow.target();
    let life = flow.life();
    let inbound = life.is_inbound();
    let translation = Translation {
        inbound,
        addr,
        port,
        addr_delta: flow.addr_delta(),
        port_delta: life.port_delta(),
        ip_id: ip_id(env, parsed, inbound),
    };
    if rewrite(packet, parsed, &translation, hop).is_none() {
        return Verdict::RewriteFailed;
    }
    let OnWire { packets, .. } = parsed.wire;
    let bytes = u32::from(parsed.ip_len) + (packets - 1) * parsed.headers;
    flow.count(now, packets, bytes, E::ONE_AFTER_THE_OTHER);
    if hop.stays {
        Verdict::Hairpin
    } else if inbound {
        Verdict::TranslatedIn
    } else {
        Verdict::TranslatedOut
    }
}

/// The IP identification that a datagram leaves with: clients behind one address must not use the same one at
/// the same time, unless nobody needs it (RFC 6864 §4.1, §5.3.1).
#[inline(always)]
pub(crate) fn ip_id<E: Env>(env: &E, parsed: &Parsed, inbound: bool) -> u16 {
    let own = parsed.piece.id;
    if inbound {
        own
    } else if parsed.piece.is_some() {
        parsed.piece.new_id
    } else if parsed.dont_fragment {
        own
    } else {
        fresh_id(env, parsed.wire.packets)
    }
}

/// The first of so many IP identifications that nobody else has now.
#[inline(always)]
pub(crate) fn fresh_id<E: Env>(env: &E, packets: u32) -> u16 {
    env.shared().map_or(0, |shared| shared.take_ip_ids(packets))
}

/// Which station the frame was sent to.
#[inline(always)]
pub(crate) fn frame_dst<P: Packet>(packet: &P) -> Result<[u8; 6], Verdict> {
    let head = packet.window::<6>(0).ok_or(Verdict::NotIpv4)?;
    let ([a, b, c, d], [e, f]) = (
        load32::<0, 6>(head).to_ne_bytes(),
        load16::<4, 6>(head).to_ne_bytes(),
    );
    Ok([a, b, c, d, e, f])
}

#[inline(always)]
fn granted(verdict: Verdict) -> Result<(), Verdict> {
    match verdict {
        Verdict::TranslatedOut => Ok(()),
        refused => Err(refused),
    }
}

/// The packet's flow, if it has one that lives.
#[inline(always)]
fn live_flow<'a, E: Env>(
    env: &'a E,
    settings: &Settings,
    parsed: &mut Parsed,
    quoted: &Quoted,
    now: u32,
) -> Result<Option<FlowRef<'a>>, Verdict> {
    // An error follows its flow and leaves it as it is (RFC 5508 REQ-6).
    if quoted.is_some() {
        return Ok(env.flow(&parsed.key));
    }
    if parsed.flaw.is_some() {
        return Ok(None);
    }
    let Some(flow) = env.flow(&parsed.key) else {
        return Ok(None);
    };
    let (protocol, flags) = (parsed.key.protocol, parsed.tcp_flags);
    if !life::needs_tracking(settings, protocol, flags, flow.life(), now) {
        return Ok(Some(flow));
    }
    match life::track(env, parsed, now) {
        // Looked up anew: the element may have become another flow's before it was settled.
        Tracked::Alive => Ok(env.flow(&parsed.key)),
        Tracked::Expired => Ok(None),
        Tracked::Vanishing => Err(Verdict::FlowVanishing),
    }
}

/// A flow's packet that has no way out: a client's may go to the stack, which tells the client why;
/// one from outside may not, for the stack would take it for its own.
#[inline(always)]
fn unsent(verdict: Verdict, inbound: bool) -> Verdict {
    match verdict {
        Verdict::NotForwarded if inbound => Verdict::Unreachable,
        verdict => verdict,
    }
}
