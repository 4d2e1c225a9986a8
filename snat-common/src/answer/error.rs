//! ICMP errors: the packet moves back, and a new header comes before what is quoted of it.

use super::header::{Header, IP_LEN, pseudo_sum};
use crate::{
    checksum,
    env::Env,
    flow::Addr,
    packet::{ETH_LEN, Packet},
    parse::Parsed,
    sum::sum,
    wire::{load16, store16},
};

const ICMP_LEN: u32 = 8;
/// Where the IP packet that an error is about begins.
const QUOTE_AT: u32 = ETH_LEN + IP_LEN + ICMP_LEN;
/// An error is 576 bytes at most (RFC 1812 §4.3.2.3).
const LONGEST_QUOTE: u32 = 576 - IP_LEN - ICMP_LEN;
/// What an error quotes of the transport at least.
const SHORTEST_TRANSPORT: u32 = 8;

/// An ICMP error to be.
pub(super) struct Error {
    pub(super) src: Addr,
    pub(super) kind: u8,
    pub(super) code: u8,
    /// Of the next hop, where that is what it is about.
    pub(super) mtu: u16,
}

/// Makes the packet the error about itself. False where that can't be done.
#[inline(never)]
pub(super) fn make<P: Packet, E: Env>(
    packet: &mut P,
    env: &E,
    parsed: &Parsed,
    error: &Error,
) -> bool {
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
    header.write(packet, 0).is_some()
}
