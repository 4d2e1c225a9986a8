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

use crate::{
    checksum,
    env::Env,
    event::Event,
    flow::{Addr, Protocol},
    packet::{ETH_LEN, Packet},
    parse::{Parsed, parse},
    settings::{Settings, resets},
    sum::sum,
    tcp,
    verdict::Verdict,
    wire::{be16, load16, load32, store16, store32},
};

const IP_LEN: u32 = 20;
const ICMP_LEN: u32 = 8;
const TCP_LEN: u32 = 20;
/// Where the IP packet that an error is about begins.
const QUOTE_AT: u32 = ETH_LEN + IP_LEN + ICMP_LEN;
/// An error is 576 bytes at most (RFC 1812 §4.3.2.3).
const LONGEST_QUOTE: u32 = 576 - IP_LEN - ICMP_LEN;
/// What an error quotes of the transport at least.
const SHORTEST_TRANSPORT: u32 = 8;
/// TTL, as RFC 1700 has it.
const TTL: u8 = 64;
/// [`Settings::refusal_code`] of a gateway that refuses in silence.
const SILENCE: u8 = 255;

const DESTINATION_UNREACHABLE: u8 = 3;
const HOST_UNREACHABLE: u8 = 1;
const FRAGMENTATION_NEEDED: u8 = 4;
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
    if !may_be_answered(packet, parsed) {
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
        Due::Reset => reset(packet, parsed).is_some(),
        Due::Error { kind, code } => {
            let error = Error {
                src: speaker(env, parsed),
                kind,
                code,
                mtu: if code == FRAGMENTATION_NEEDED { mtu } else { 0 },
            };
            error.src != [0; 4] && icmp_error(packet, env, parsed, &error)
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
    let to_many = head[0] & 1 != 0 || parsed.key.dst[0] >= 224;
    let from_nobody = matches!(parsed.key.src[0], 0 | 127 | 224..);
    // Of ICMP only queries: what has a flaw is an error, or may be one.
    let icmp = parsed.ip_protocol == 1 && parsed.flaw.is_some();
    !later_fragment && !to_many && !from_nobody && !icmp
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

/// An ICMP error to be.
struct Error {
    src: Addr,
    kind: u8,
    code: u8,
    mtu: u16,
}

#[inline(never)]
fn icmp_error<P: Packet, E: Env>(packet: &mut P, env: &E, parsed: &Parsed, error: &Error) -> bool {
    let mut quote = Quote {
        len: 0,
        unfinished: 0,
    };
    quote.cut(packet, parsed)
        && packet.make_room(IP_LEN + ICMP_LEN)
        && write_error(packet, env, parsed, error, &quote)
}

/// What is left of the packet, for an error to quote.
struct Quote {
    /// Its length, a multiple of 4.
    len: u32,
    /// What stands in a checksum that is yet to be finished, as it is; 0, which no sum is, where it is finished.
    unfinished: u16,
}

impl Quote {
    /// Cuts the packet down to what is quoted. False where that can't be done.
    #[inline(always)]
    fn cut<P: Packet>(&mut self, packet: &mut P, parsed: &Parsed) -> bool {
        let header_len = parsed.transport - ETH_LEN;
        let whole = (u32::from(parsed.ip_len) & !3).min(LONGEST_QUOTE);
        // Where the checksum is, and how much to quote if it has to be told apart by a cut.
        let (field_at, least) = match parsed.ip_protocol {
            1 | 6 | 17 if parsed.flaw.is_some() => (0, 0),
            1 => {
                self.len = whole;
                return packet.resize(ETH_LEN + whole);
            }
            6 => (16, 16),
            17 => (6, 8),
            _ => (0, 0),
        };
        if least == 0 {
            // Only the Internet checksum can be lived with. Where there may be another one (SCTP's), no more
            // than this is quoted: a checksum behind it that is yet to be finished can't be cut off.
            self.len = whole.min(header_len + SHORTEST_TRANSPORT);
            return packet.resize(ETH_LEN + self.len);
        }
        self.len = whole;
        let field_at = parsed.transport + field_at;
        let Some(field) = packet.window::<2>(field_at) else {
            return false;
        };
        let field = load16::<0, 2>(field);
        if field == pseudo_sum(parsed, u32::from(parsed.ip_len) - header_len) {
            if !packet.resize(field_at + 1) {
                self.unfinished = field;
            } else {
                // It could be cut in half, so it was only by chance that it looked like that.
                self.len = header_len + least;
                if !packet.resize(field_at + 2) {
                    return false;
                }
                let Some(cut) = packet.window_mut::<2>(field_at) else {
                    return false;
                };
                store16::<0, 2>(cut, field);
            }
        }
        packet.resize(ETH_LEN + self.len)
    }
}

/// The folded sum of the pseudo header, in native order.
#[inline(always)]
fn pseudo_sum(parsed: &Parsed, transport_len: u32) -> u16 {
    let words = u64::from(u32::from_ne_bytes(parsed.key.src))
        + u64::from(u32::from_ne_bytes(parsed.key.dst));
    let sum = (words & 0xffff) as u32 + (words >> 16 & 0xffff) as u32 + (words >> 32) as u32;
    checksum::fold(
        sum + u32::from((transport_len as u16).to_be())
            + u32::from(u16::from(parsed.ip_protocol).to_be()),
    )
}

/// Writes what stands before the quote.
#[inline(always)]
fn write_error<P: Packet, E: Env>(
    packet: &mut P,
    env: &E,
    parsed: &Parsed,
    error: &Error,
    quote: &Quote,
) -> bool {
    // The same type of service, and the precedence of internetwork control (RFC 1812 §4.3.2.5).
    let tos = parsed.tos & 0x1c | 0xc0;
    let header = Header {
        version: 0x45,
        tos,
        len: (IP_LEN + ICMP_LEN + quote.len) as u16,
        protocol: 1,
        src: error.src,
        dst: parsed.key.src,
    };
    let Some(icmp) = packet.window_mut::<8>(ETH_LEN + IP_LEN) else {
        return false;
    };
    icmp[0] = error.kind;
    icmp[1] = error.code;
    store16::<2, 8>(icmp, 0);
    store16::<4, 8>(icmp, 0);
    store16::<6, 8>(icmp, error.mtu.to_be());

    let quote_end = QUOTE_AT + quote.len;
    let (end, rest) = match quote.unfinished {
        0 => (quote_end, 0),
        pseudo => (QUOTE_AT + parsed.transport - ETH_LEN, !pseudo),
    };
    let mut message = 0;
    if !sum(packet, env, ETH_LEN + IP_LEN, end, &mut message) {
        return false;
    }
    let Some(icmp) = packet.window_mut::<8>(ETH_LEN + IP_LEN) else {
        return false;
    };
    let field = !checksum::fold(u32::from(message) + u32::from(rest));
    store16::<2, 8>(icmp, field);
    write_header(packet, &header, 0).is_some()
}

/// Makes the segment the reset that answers it (RFC 9293 §3.5.2, §3.10.7.1).
#[inline(never)]
fn reset<P: Packet>(packet: &mut P, parsed: &Parsed) -> Option<()> {
    let at = parsed.transport;
    let header_len = at - ETH_LEN;
    let segment = packet.window::<16>(at)?;
    let (ports, seq, ack) = (
        [load16::<0, 16>(segment), load16::<2, 16>(segment)],
        u32::from_be(load32::<4, 16>(segment)),
        load32::<8, 16>(segment),
    );
    let flags = parsed.tcp_flags;
    let data = u32::from(parsed.ip_len) - parsed.headers;
    let (seq, ack, flags) = if flags & tcp::ACK != 0 {
        (ack, 0, tcp::RST)
    } else {
        let length = data + u32::from(flags & tcp::SYN != 0) + u32::from(flags & tcp::FIN != 0);
        (0, seq.wrapping_add(length).to_be(), tcp::RST | tcp::ACK)
    };

    // A checksum that is yet to be finished can't be cut in half.
    let finished = packet.resize(at + 17);
    if !packet.resize(at + TCP_LEN) {
        return None;
    }
    let pseudo = pseudo_sum(parsed, TCP_LEN);
    let segment = packet.window_mut::<20>(at)?;
    store16::<0, 20>(segment, ports[1]);
    store16::<2, 20>(segment, ports[0]);
    store32::<4, 20>(segment, seq);
    store32::<8, 20>(segment, ack);
    segment[12] = 5 << 4;
    segment[13] = flags;
    store16::<14, 20>(segment, 0);
    store16::<16, 20>(segment, pseudo);
    store16::<18, 20>(segment, 0);
    if finished {
        let field = !checksum::fold(checksum::header_sum(segment));
        store16::<16, 20>(segment, field);
    }

    let header = Header {
        version: 0x40 | (header_len / 4) as u8,
        tos: 0,
        len: (header_len + TCP_LEN) as u16,
        protocol: 6,
        src: parsed.key.dst,
        dst: parsed.key.src,
    };
    write_header(packet, &header, header_len - IP_LEN)
}

/// An IPv4 header to be.
struct Header {
    version: u8,
    tos: u8,
    len: u16,
    protocol: u8,
    src: Addr,
    dst: Addr,
}

/// Writes an IPv4 header, clears `options` bytes behind it (which ends the options: RFC 791 §3.1), and sends the
/// frame back to the station that it came from.
#[inline(always)]
fn write_header<P: Packet>(packet: &mut P, header: &Header, options: u32) -> Option<()> {
    let mut cleared = 0;
    while cleared < 40 {
        if cleared >= options {
            break;
        }
        store32::<0, 4>(packet.window_mut::<4>(ETH_LEN + IP_LEN + cleared)?, 0);
        cleared += 4;
    }
    let eth = packet.window_mut::<12>(0)?;
    let stations = [load32::<0, 12>(eth), load32::<6, 12>(eth)];
    let ends = [load16::<4, 12>(eth), load16::<10, 12>(eth)];
    store32::<0, 12>(eth, stations[1]);
    store16::<4, 12>(eth, ends[1]);
    store32::<6, 12>(eth, stations[0]);
    store16::<10, 12>(eth, ends[0]);

    let ip = packet.window_mut::<20>(ETH_LEN)?;
    ip[0] = header.version;
    ip[1] = header.tos;
    store16::<2, 20>(ip, header.len.to_be());
    // Never to be cut up, so it needs no identification (RFC 6864 §4.1).
    store16::<4, 20>(ip, 0);
    store16::<6, 20>(ip, 0x4000_u16.to_be());
    ip[8] = TTL;
    ip[9] = header.protocol;
    store16::<10, 20>(ip, 0);
    store32::<12, 20>(ip, u32::from_ne_bytes(header.src));
    store32::<16, 20>(ip, u32::from_ne_bytes(header.dst));
    let field = !checksum::fold(checksum::header_sum(ip));
    store16::<10, 20>(ip, field);
    Some(())
}
