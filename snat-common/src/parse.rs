//! First stage: what is this packet, as far as translation cares?

use crate::{
    checksum,
    flow::{Addr, FlowKey, Protocol},
    fragment::Piece,
    icmp_error::is_error,
    packet::{ETH_LEN, OnWire, Packet},
    tcp,
    verdict::Verdict,
    wire::{be16, load16, load32},
};

/// What a packet's headers say, by value: later stages need no packet bytes to decide.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
pub struct Parsed {
    /// The tuple; its ports and protocol mean nothing where there is a `flaw`.
    pub key: FlowKey,
    /// Why the transport can't be translated; it matters only if the packet is a client's.
    pub flaw: Option<Verdict>,
    /// Offset of the transport header from the start of the frame.
    pub transport: u32,
    /// Length of the IP and transport headers together.
    pub headers: u32,
    /// Length of the IP packet.
    pub ip_len: u16,
    /// The frame as the wire sees it.
    pub wire: OnWire,
    /// Which part of a datagram it is.
    pub piece: Piece,
    /// IP protocol as on the wire.
    pub ip_protocol: u8,
    /// Type of service byte.
    pub tos: u8,
    /// Time to live on arrival.
    pub ttl: u8,
    /// Don't fragment.
    pub dont_fragment: bool,
    /// TCP flags, 0 for the rest.
    pub tcp_flags: u8,
    /// An ICMP error about another packet, which it quotes.
    pub icmp_error: bool,
    /// Whether the first packet of a flow looks like this: SYN, UDP, echo request.
    pub opens: bool,
    /// Of a flow that the configuration has ended: known once that was looked for.
    pub ended: bool,
}

/// EtherType of IPv4.
pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
/// ICMP type of a ping's answer.
pub(crate) const ICMP_ECHO_REPLY: u8 = 0;
/// ICMP type of a ping.
pub(crate) const ICMP_ECHO_REQUEST: u8 = 8;
const MIN_IP_LEN: u32 = 20;

/// Reads the headers. `Err` is final: the packet concerns neither clients nor flows.
#[inline(always)]
pub fn parse<P: Packet>(packet: &P) -> Result<Parsed, Verdict> {
    let Some(head) = packet.window::<34>(0) else {
        return Err(short_frame(packet));
    };
    if be16::<12, 34>(head) != ETHERTYPE_IPV4 {
        return Err(Verdict::NotIpv4);
    }
    let header_len = u32::from(head[14] & 0x0f) * 4;
    let ip_len = be16::<16, 34>(head);
    if head[14] >> 4 != 4
        || header_len < MIN_IP_LEN
        || u32::from(ip_len) < header_len
        || ETH_LEN + u32::from(ip_len) > packet.frame_len()
    {
        return Err(Verdict::MalformedIp);
    }
    let Some(header) = packet.window::<20>(ETH_LEN) else {
        return Err(Verdict::MalformedIp);
    };
    let mut sum = checksum::header_sum(header);
    if header_len > MIN_IP_LEN {
        sum += options_sum(packet, header_len)?;
    }
    if checksum::fold(sum) != 0xffff {
        return Err(Verdict::MalformedIp);
    }

    let src: Addr = load32::<26, 34>(head).to_ne_bytes();
    let dst: Addr = load32::<30, 34>(head).to_ne_bytes();
    let mut parsed = Parsed {
        key: FlowKey {
            src,
            dst,
            src_port: 0,
            dst_port: 0,
            protocol: Protocol::Udp,
            number: 0,
            zero: [0; 2],
        },
        flaw: None,
        transport: ETH_LEN + header_len,
        headers: header_len + 8,
        ip_len,
        wire: OnWire {
            packets: 1,
            largest: u32::from(ip_len),
        },
        piece: Piece {
            word: be16::<20, 34>(head),
            id: be16::<18, 34>(head),
            new_id: 0,
        },
        ip_protocol: head[23],
        tos: head[15],
        ttl: head[22],
        dont_fragment: head[20] & 0x40 != 0,
        tcp_flags: 0,
        icmp_error: false,
        opens: false,
        ended: false,
    };
    let room = u32::from(ip_len) - header_len;
    let piece = parsed.piece;
    parsed.flaw = if piece.is_some() && piece.is_invalid(header_len, room, parsed.ip_protocol) {
        Some(Verdict::FragmentInvalid)
    } else if piece.is_later() {
        set_protocol(&mut parsed);
        Some(Verdict::FragmentHeld)
    } else {
        set_protocol(&mut parsed);
        transport(packet, &mut parsed, room).err()
    };
    parsed.wire = packet.on_wire(ip_len, parsed.headers);
    Ok(parsed)
}

#[inline(always)]
fn set_protocol(parsed: &mut Parsed) {
    parsed.key.protocol = match parsed.ip_protocol {
        1 => Protocol::Icmp,
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        136 => Protocol::UdpLite,
        132 => Protocol::Sctp,
        47 => Protocol::Gre,
        50 => Protocol::Esp,
        _ => Protocol::Other,
    };
    if matches!(parsed.key.protocol, Protocol::Other) {
        parsed.key.number = parsed.ip_protocol;
    }
}

/// Fills in the ports. `room` is what the IP packet has for the transport.
#[inline(always)]
fn transport<P: Packet>(packet: &P, parsed: &mut Parsed, room: u32) -> Result<(), Verdict> {
    // A first fragment has the whole transport header, or is an attempt at something (RFC 1858).
    let short = if parsed.piece.is_some() {
        Verdict::FragmentInvalid
    } else {
        Verdict::MalformedTransport
    };
    let at = parsed.transport;
    match parsed.ip_protocol {
        6 => {
            let h = packet.window::<20>(at).ok_or(short)?;
            let data_offset = u32::from(h[12] >> 4) * 4;
            if room < 20 || data_offset < 20 || data_offset > room {
                return Err(short);
            }
            parsed.headers += data_offset - 8;
            parsed.key.src_port = be16::<0, 20>(h);
            parsed.key.dst_port = be16::<2, 20>(h);
            parsed.tcp_flags = h[13];
            parsed.opens = h[13] & (tcp::SYN | tcp::ACK | tcp::RST | tcp::FIN) == tcp::SYN;
        }
        17 | 136 => {
            let h = packet.window::<8>(at).ok_or(short)?;
            let length = u32::from(be16::<4, 8>(h));
            let lite = parsed.ip_protocol == 136;
            // Merged packets carry the length of the first or of all: only a real datagram's must fit.
            // UDP-Lite has there how much the checksum covers: 0 is all of it (RFC 3828 §3.1).
            // Of a datagram in fragments, room is what the first has.
            let whole = !parsed.piece.is_some();
            if room < 8 || (length < 8 && !(lite && length == 0)) || (whole && length > room) {
                return Err(short);
            }
            parsed.key.src_port = be16::<0, 8>(h);
            parsed.key.dst_port = be16::<2, 8>(h);
            parsed.opens = true;
        }
        1 => {
            let h = packet.window::<8>(at).ok_or(short)?;
            if room < 8 {
                return Err(short);
            }
            let identifier = be16::<4, 8>(h);
            match h[0] {
                ICMP_ECHO_REQUEST => {
                    parsed.key.src_port = identifier;
                    parsed.opens = true;
                }
                ICMP_ECHO_REPLY => parsed.key.dst_port = identifier,
                // An error in fragments is none that anybody sends.
                error if is_error(error) && !parsed.piece.is_some() => {
                    parsed.icmp_error = true;
                    return Err(Verdict::IcmpType);
                }
                _ => return Err(Verdict::IcmpType),
            }
        }
        132 => {
            let h = packet.window::<12>(at).ok_or(short)?;
            if room < 12 {
                return Err(short);
            }
            parsed.key.src_port = be16::<0, 12>(h);
            parsed.key.dst_port = be16::<2, 12>(h);
            parsed.opens = true;
        }
        // AH signs the addresses: no NAT can carry it (RFC 3715).
        51 => return Err(Verdict::UnknownProtocol),
        _ => parsed.opens = true,
    }
    Ok(())
}

#[inline(always)]
fn short_frame<P: Packet>(packet: &P) -> Verdict {
    match packet.window::<14>(0) {
        Some(head) if be16::<12, 14>(head) == ETHERTYPE_IPV4 => Verdict::MalformedIp,
        _ => Verdict::NotIpv4,
    }
}

/// The sum of the option words behind the fixed header.
#[inline(always)]
fn options_sum<P: Packet>(packet: &P, header_len: u32) -> Result<u32, Verdict> {
    let mut sum = 0;
    let mut word = 0;
    while word < 10 {
        let offset = MIN_IP_LEN + word * 4;
        if offset >= header_len {
            break;
        }
        let Some(bytes) = packet.window::<4>(ETH_LEN + offset) else {
            return Err(Verdict::MalformedIp);
        };
        sum += u32::from(load16::<0, 4>(bytes)) + u32::from(load16::<2, 4>(bytes));
        word += 1;
    }
    Ok(sum)
}
