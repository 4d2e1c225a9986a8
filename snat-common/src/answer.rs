//! What the sender of a refused packet is told: an ICMP error or a TCP reset, made of the packet itself.
//!
//! RFC 1812 §4.3.2 says what an error looks like and which packets are never answered, RFC 9293 §3.5.2
//! what a reset does. The stack can't do this for us: it knows neither the reason nor, of a packet to an
//! external address, that it was not its own.
//!
//! **Checksums that are yet to be finished.** A packet of a local socket or a virtual machine may hold, where
//! the checksum belongs, only the sum P of the pseudo header; whatever sends the frame later puts there
//! C = ~(sum of all from the transport header to the frame's end, P included), wherever that header has
//! moved to. This can't be undone here, so the answer lives with it: the old transport header stays where it
//! is, and counts in an ICMP checksum as what it will be. With S the sum of the rest, that is
//! S + C = S - (S + P) = ~P, however much of the packet is quoted.

mod error;
mod header;
mod reset;

use self::error::Error;
use crate::{
    env::{Env, RouteKind, RouteQuery},
    event::Event,
    flow::{Addr, Protocol},
    packet::Packet,
    parse::{Parsed, parse},
    settings::{Settings, resets},
    tcp,
    verdict::Verdict,
    wire::be16,
};

/// [`Settings::refusal_code`] of a gateway that refuses in silence.
const SILENCE: u8 = 255;

const DESTINATION_UNREACHABLE: u8 = 3;
const HOST_UNREACHABLE: u8 = 1;
const FRAGMENTATION_NEEDED: u8 = 4;
const ADMIN_PROHIBITED: u8 = 13;
const TIME_EXCEEDED: u8 = 11;

/// Turns a packet that was refused into the answer to its sender, to be sent by the interface it came in by.
///
/// `mtu` is what the way takes, for [`Verdict::TooBig`]. False: none is due or allowed, or it can't be made;
/// then the frame is to be dropped, whatever is in it by now.
#[inline(always)]
pub fn answer<P: Packet, E: Env>(packet: &mut P, env: &E, verdict: Verdict, mtu: u16) -> bool {
    let Some(settings) = env.settings() else {
        return false;
    };
    let Some(parsed) = parse(packet).ok().and_then(|parsed| env.keep(parsed)) else {
        return false;
    };
    let Some(due) = due(env, settings, parsed, verdict) else {
        return false;
    };
    if !may_be_answered(packet, parsed) || !leads_back(env, parsed) {
        return false;
    }
    let Some(shared) = env.shared() else {
        return false;
    };
    if !shared.take_answer(settings.answers_per_second, env.now()) {
        env.event(Event::AnswerHeldBack);
        return false;
    }
    let made = match due {
        Due::Reset => reset::make(packet, parsed).is_some(),
        Due::Error { kind, code } => {
            let error = Error {
                src: speaker(env, parsed),
                kind,
                code,
                mtu: if code == FRAGMENTATION_NEEDED { mtu } else { 0 },
            };
            error.src != [0; 4] && error::make(packet, env, parsed, &error)
        }
    };
    if made {
        packet.is_made_anew();
        env.event(Event::AnswerSent);
    }
    made
}

/// What the sender is owed.
#[derive(Clone, Copy)]
enum Due {
    Error { kind: u8, code: u8 },
    Reset,
}

#[inline(always)]
fn due<E: Env>(env: &E, settings: &Settings, parsed: &Parsed, verdict: Verdict) -> Option<Due> {
    let unreachable = |code| Due::Error {
        kind: DESTINATION_UNREACHABLE,
        code,
    };
    match verdict {
        Verdict::PortsExhausted
        | Verdict::TableFull
        | Verdict::SourceLimit
        | Verdict::ShareLimit
        | Verdict::ProtocolTaken => (settings.refusal_code != SILENCE
            && is_client(env, parsed.key.src))
        .then_some(unreachable(settings.refusal_code)),
        Verdict::Unreachable => Some(unreachable(HOST_UNREACHABLE)),
        Verdict::TcpNoFlow => resets_due(settings, parsed, resets::CLIENTS),
        Verdict::StrayIn => resets_due(settings, parsed, resets::SERVERS),
        Verdict::FlowEnded => ended(env, settings, parsed),
        Verdict::TtlExpired => Some(Due::Error {
            kind: TIME_EXCEEDED,
            code: 0,
        }),
        Verdict::TooBig => parsed
            .dont_fragment
            .then_some(unreachable(FRAGMENTATION_NEEDED)),
        _ => None,
    }
}

/// What is due to who speaks on a flow that the configuration has ended: both sides of TCP hear of it, whatever they hear
/// else; of the rest the client does.
#[inline(always)]
fn ended<E: Env>(env: &E, settings: &Settings, parsed: &Parsed) -> Option<Due> {
    if matches!(parsed.key.protocol, Protocol::Tcp) {
        return (parsed.flaw.is_none() && parsed.tcp_flags & tcp::RST == 0).then_some(Due::Reset);
    }
    let from_client = env
        .flow(&parsed.key)
        .is_some_and(|flow| !flow.life().is_inbound());
    (from_client && settings.refusal_code != SILENCE).then_some(Due::Error {
        kind: DESTINATION_UNREACHABLE,
        code: ADMIN_PROHIBITED,
    })
}

/// A reset is never answered with a reset (RFC 9293 §3.5.2).
#[inline(always)]
fn resets_due(settings: &Settings, parsed: &Parsed, whom: u8) -> Option<Due> {
    let is_tcp = parsed.flaw.is_none() && matches!(parsed.key.protocol, Protocol::Tcp);
    (is_tcp && parsed.tcp_flags & tcp::RST == 0 && settings.resets & whom != 0)
        .then_some(Due::Reset)
}

/// Whether the sender is a client. (Refused flows that outside wanted to open are its own affair.)
#[inline(always)]
fn is_client<E: Env>(env: &E, src: Addr) -> bool {
    env.source_entry(src).is_some() && env.external(src).is_none()
}

/// Whether a packet may be answered at all (RFC 1812 §4.3.2.7, RFC 1122 §3.2.2): not an ICMP error, nor a
/// fragment but the first, nor what was sent to many or by nobody in particular.
#[inline(always)]
fn may_be_answered<P: Packet>(packet: &P, parsed: &Parsed) -> bool {
    let Some(head) = packet.window::<34>(0) else {
        return false;
    };
    let later_fragment = be16::<20, 34>(head) & 0x1fff != 0;
    let to_many = (head[0] | head[6]) & 1 != 0 || parsed.key.dst[0] >= 224;
    let from_nobody = matches!(parsed.key.src[0], 0 | 127 | 224..);
    // Of ICMP only queries: what has a flaw is an error, or may be one.
    let icmp = parsed.ip_protocol == 1 && parsed.flaw.is_some();
    !later_fragment && !to_many && !from_nobody && !icmp
}

/// Whether the way to the sender is the one that the packet came by: a forged source is not told anything, nor
/// is a network's broadcast address. A hairpinned packet is from ourselves by now.
#[inline(never)]
fn leads_back<E: Env>(env: &E, parsed: &Parsed) -> bool {
    let sender = parsed.key.src;
    if env.external(sender).is_some() {
        return true;
    }
    let route = env.route(&RouteQuery {
        src: parsed.key.dst,
        dst: sender,
        ports: (0, 0),
        protocol: parsed.ip_protocol,
        tos: parsed.tos,
    });
    matches!(route.kind, RouteKind::Ready | RouteKind::NoNeighbour)
        && route.ifindex == env.ingress()
}

/// Who sends an error: the external address that the packet was sent to, so that outside learns of no other;
/// to a client, the gateway as it knows it (RFC 1812 §4.3.2.4).
#[inline(always)]
fn speaker<E: Env>(env: &E, parsed: &Parsed) -> Addr {
    if env.external(parsed.key.dst).is_some() {
        return parsed.key.dst;
    }
    env.slot(env.ingress())
        .and_then(|slot| env.interface(slot))
        .map_or([0; 4], |interface| interface.addr)
}
