//! ICMP errors about a flow's packets (RFC 5508 §4): what makes path-MTU discovery and traceroute work.
//!
//! An error carries the beginning of the packet it is about. Turned round, that packet's tuple is the key of
//! the flow entry whose direction the error travels in: an error from outside quotes what we sent
//! (external -> server), so the `In` entry says which client it is for; one from a client quotes what we
//! delivered (server -> client), so the `Out` entry says which external address it is from.
//!
//! The quoted packet is translated back, with all its checksums, and the error's own checksum is adjusted
//! by everything that changed inside it. An error never refreshes, changes or ends a flow (REQ-6).

use crate::{
    checksum,
    engine::ip_id,
    env::Env,
    flow::{Addr, FlowKey, Protocol},
    flow_ref::FlowRef,
    next_hop::Hop,
    packet::{ETH_LEN, Packet},
    parse::{ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, Parsed},
    rewrite::{Header, rewrite_header},
    sum,
    wire::{be16, load16, load32, store16, store32},
};

/// The ICMP header's length; behind it is the quoted packet.
const ICMP_LEN: u32 = 8;
/// What RFC 792 promises of the quoted transport header.
const QUOTED_TRANSPORT: u32 = 8;
/// As much of an error as is read: all that a router sends (RFC 1812 §4.3.2.3), and more.
const LONGEST: u32 = ETH_LEN + 60 + sum::MOST;

/// Whether an ICMP type is an error that is translated: destination unreachable, time exceeded, parameter
/// problem. Not source quench (RFC 6633), not redirect (it speaks of routes on another network).
#[inline(always)]
#[must_use]
pub const fn is_error(icmp_type: u8) -> bool {
    matches!(icmp_type, 3 | 11 | 12)
}

/// The quoted packet, and the error's own addresses.
#[derive(Clone, Copy)]
pub struct Quoted {
    /// Offset of the quoted IP header; 0 where there is none.
    ip: u32,
    /// Offset of the quoted transport header.
    transport: u32,
    /// Who speaks.
    outer_src: Addr,
}

impl Quoted {
    /// For a packet that is no error about a flow.
    pub const NONE: Self = Self {
        ip: 0,
        transport: 0,
        outer_src: [0; 4],
    };

    /// Whether there is a quoted packet.
    #[inline(always)]
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.ip != 0
    }
}

/// What an ICMP error turned out to be.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not about a flow of ours.
    Foreign,
    /// About a flow of ours.
    Ours,
    /// About a flow of ours, with a wrong checksum (RFC 5508 REQ-3).
    Invalid,
}

/// Whether an error is about a flow of ours. If so, `parsed.key` becomes the flow's key, so that the
/// error goes the way of its packets, and `quoted` says where to rewrite.
#[inline(never)]
pub fn recognise<P: Packet, E: Env>(
    packet: &mut P,
    env: &E,
    parsed: &mut Parsed,
    quoted: &mut Quoted,
) -> Kind {
    packet.make_linear(LONGEST);
    let mut key = parsed.key;
    if !read(packet, parsed, &mut key, quoted) {
        *quoted = Quoted::NONE;
        return Kind::Foreign;
    }
    let speaks = env.flow(&key).is_some_and(|flow| {
        // From inside only a client may speak for a client.
        flow.life().is_inbound() || env.source_entry(parsed.key.src).is_some()
    });
    if !speaks {
        *quoted = Quoted::NONE;
        return Kind::Foreign;
    }
    if !is_sound(packet, env, parsed, quoted) {
        return Kind::Invalid;
    }
    quoted.outer_src = parsed.key.src;
    parsed.key = key;
    Kind::Ours
}

/// Whether the quoted IP header's checksum is right, options included, and the error's own, which covers
/// everything behind it, RFC 4884's extensions and padding included (REQ-3).
///
/// The quoted transport's is not looked at: only part of what it covers is there. An error longer than
/// [`sum::MOST`], which no router should send, is taken on trust.
#[inline(always)]
fn is_sound<P: Packet, E: Env>(packet: &P, env: &E, parsed: &Parsed, quoted: &Quoted) -> bool {
    const RIGHT: u16 = 0xffff;
    let mut header = 0;
    if !sum::sum(packet, env, quoted.ip, quoted.transport, &mut header) || header != RIGHT {
        return false;
    }
    let end = ETH_LEN + u32::from(parsed.ip_len);
    if end - parsed.transport > sum::MOST {
        return true;
    }
    let mut message = 0;
    sum::sum(packet, env, parsed.transport, end, &mut message) && message == RIGHT
}

/// Reads the quoted packet: false where it is none that could be ours.
#[inline(always)]
fn read<P: Packet>(packet: &P, parsed: &Parsed, key: &mut FlowKey, quoted: &mut Quoted) -> bool {
    let ip = parsed.transport + ICMP_LEN;
    let Some(head) = packet.window::<20>(ip) else {
        return false;
    };
    let header_len = u32::from(head[0] & 0x0f) * 4;
    let end = ETH_LEN + u32::from(parsed.ip_len);
    if head[0] >> 4 != 4 || header_len < 20 || ip + header_len + QUOTED_TRANSPORT > end {
        return false;
    }
    key.src = load32::<16, 20>(head).to_ne_bytes();
    key.dst = load32::<12, 20>(head).to_ne_bytes();
    // A later fragment has no ports; and an error goes to whom the quoted packet came from.
    if be16::<6, 20>(head) & 0x1fff != 0 || key.dst != parsed.key.dst {
        return false;
    }
    let number = head[9];
    quoted.ip = ip;
    quoted.transport = ip + header_len;
    let Some(ports) = packet.window::<8>(quoted.transport) else {
        return false;
    };
    key.src_port = be16::<2, 8>(ports);
    key.dst_port = be16::<0, 8>(ports);
    match number {
        6 => key.protocol = Protocol::Tcp,
        17 => key.protocol = Protocol::Udp,
        1 => {
            let identifier = be16::<4, 8>(ports);
            key.protocol = Protocol::Icmp;
            (key.src_port, key.dst_port) = match ports[0] {
                ICMP_ECHO_REQUEST => (0, identifier),
                ICMP_ECHO_REPLY => (identifier, 0),
                _ => return false,
            };
        }
        _ => return false,
    }
    true
}

/// Rewrites the error and what it quotes. False where the packet can't be written to.
#[inline(never)]
pub fn rewrite<P: Packet, E: Env>(
    packet: &mut P,
    env: &E,
    parsed: &Parsed,
    quoted: &Quoted,
    hop: &Hop,
) -> bool {
    env.flow(&parsed.key)
        .is_some_and(|flow| edit(packet, env, parsed, quoted, flow, hop).is_some())
}

#[inline(always)]
fn edit<P: Packet, E: Env>(
    packet: &mut P,
    env: &E,
    parsed: &Parsed,
    quoted: &Quoted,
    flow: FlowRef<'_>,
    hop: &Hop,
) -> Option<()> {
    let inbound = flow.life().is_inbound();
    let (addr, port) = flow.target();
    let addr_delta = flow.addr_delta();
    let port_delta = flow.life().port_delta();
    // All that changes inside the error's message, for its own checksum: first the address in the quoted
    // header and that header's checksum, which make up for each other but for the two zeros.
    let header = packet.window_mut::<20>(quoted.ip)?;
    let mut changed = u32::from(addr_delta);
    changed += adjust_word::<10, 20>(header, u32::from(addr_delta), false);
    // The quoted packet went the other way: what is a destination to the error was its source.
    if inbound {
        store32::<12, 20>(header, u32::from_ne_bytes(addr));
    } else {
        store32::<16, 20>(header, u32::from_ne_bytes(addr));
    }

    // Then the port, and the quoted transport's checksum as far as it is quoted.
    let both = u32::from(addr_delta) + u32::from(port_delta);
    changed += u32::from(port_delta);
    let transport = packet.window_mut::<8>(quoted.transport)?;
    match (parsed.key.protocol, inbound) {
        (Protocol::Icmp, _) => store16::<4, 8>(transport, port.to_be()),
        (_, true) => store16::<0, 8>(transport, port.to_be()),
        (_, false) => store16::<2, 8>(transport, port.to_be()),
    }
    match parsed.key.protocol {
        Protocol::Icmp => changed += adjust_word::<2, 8>(transport, u32::from(port_delta), false),
        Protocol::Udp => changed += adjust_word::<6, 8>(transport, both, true),
        Protocol::UdpLite => changed += adjust_word::<6, 8>(transport, both, false),
        Protocol::Sctp | Protocol::Gre | Protocol::Esp | Protocol::Other => {}
        Protocol::Tcp => {
            // Beyond the eight bytes that every error quotes.
            if quoted.transport + 18 <= ETH_LEN + u32::from(parsed.ip_len)
                && let Some(field) = packet.window_mut::<2>(quoted.transport + 16)
            {
                changed += adjust_word::<0, 2>(field, both, false);
            }
        }
    }

    let icmp = packet.window_mut::<8>(parsed.transport)?;
    adjust_word::<2, 8>(icmp, changed, false);

    // From inside, a router on the way may be the one who speaks.
    let outer = if inbound {
        addr_delta
    } else {
        checksum::addr_delta(quoted.outer_src, addr)
    };
    rewrite_header(
        packet,
        &Header {
            inbound,
            addr,
            addr_delta: outer,
            ttl: parsed.ttl,
            ip_id: ip_id(env, parsed, inbound),
        },
        hop,
    )
}

/// Adjusts a checksum in the packet; returns the difference that this makes in turn.
#[inline(always)]
fn adjust_word<const AT: usize, const N: usize>(
    window: &mut [u8; N],
    delta: u32,
    zero_means_none: bool,
) -> u32 {
    let old = load16::<AT, N>(window);
    let new = if zero_means_none {
        checksum::adjust_udp(old, delta)
    } else {
        checksum::adjust(old, delta)
    };
    store16::<AT, N>(window, new);
    u32::from(checksum::word_delta(old, new))
}
