//! MSS clamping: a SYN offers no larger segments than the way takes (RFC 9293 §3.7.1).
//!
//! For paths on which "fragmentation needed" does not come back. The option is only ever lowered; a SYN
//! without one is left alone, for that already stands for 536 bytes.

use crate::{
    checksum::word_delta,
    env::{Env, Step},
    packet::{ETH_LEN, Packet, TransportChange},
    parse::Parsed,
    wire::{load16, store16},
};

/// [`crate::Settings::mss`] for "as the path takes".
const AUTO: u16 = 1;
/// IPv4 and TCP headers without options.
const HEADERS: u16 = 40;
/// Bytes there can be of options, each perhaps one of its own.
const MOST_OPTIONS: u32 = 40;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const MSS_LEN: u32 = 4;

/// Lowers the MSS in a TCP segment that has SYN set. `hop_mtu`: largest IP packet of the way it goes.
///
/// The way back is the interface it came in by. False where the packet can't be written to.
#[inline(never)]
pub fn clamp<P: Packet, E: Env>(packet: &mut P, env: &E, parsed: &Parsed, hop_mtu: u16) -> bool {
    let limit = limit(env, hop_mtu);
    let end = ETH_LEN + parsed.headers;
    if limit == 0 || parsed.headers == parsed.transport - ETH_LEN + 20 {
        return true;
    }
    packet.make_linear(end);
    let mut search = Search {
        packet: &*packet,
        at: parsed.transport + 20,
        end,
        found: 0,
    };
    env.repeat(MOST_OPTIONS, &mut search);
    let found = search.found;
    found == 0 || lower(packet, parsed.transport, found + 2, limit).is_some()
}

/// The largest MSS that may pass; 0 where there is no saying.
#[inline(always)]
fn limit<E: Env>(env: &E, hop_mtu: u16) -> u16 {
    match env.settings().map_or(0, |settings| settings.mss) {
        AUTO => {
            let ingress = env
                .slot(env.ingress())
                .and_then(|slot| env.interface(slot))
                .map_or(0, |interface| interface.mtu);
            let mtu = if ingress != 0 && ingress < hop_mtu {
                ingress
            } else {
                hop_mtu
            };
            mtu.saturating_sub(HEADERS)
        }
        mss => mss,
    }
}

/// Lowers the number at `at`, if it is above `limit`, and adjusts the checksum.
#[inline(always)]
fn lower<P: Packet>(packet: &mut P, transport: u32, at: u32, limit: u16) -> Option<()> {
    let field = packet.window_mut::<2>(at)?;
    let old = load16::<0, 2>(field);
    let new = limit.to_be();
    if u16::from_be(old) <= limit {
        return Some(());
    }
    store16::<0, 2>(field, new);
    // Behind an odd number of bytes it lies across two words of the sum, each byte in the other's place.
    let delta = if at.is_multiple_of(2) {
        word_delta(old, new)
    } else {
        word_delta(old.swap_bytes(), new.swap_bytes())
    };
    packet.adjust_transport_checksum(
        transport + 16,
        TransportChange {
            addr_delta: 0,
            port_delta: delta,
            zero_means_none: false,
        },
    )
}

/// A walk over the options, to where the MSS begins.
struct Search<'a, P> {
    packet: &'a P,
    at: u32,
    end: u32,
    /// Offset of the option; 0 for none.
    found: u32,
}

impl<P: Packet> Step for Search<'_, P> {
    #[inline(always)]
    fn turn(&mut self, _: u32) -> bool {
        if self.at >= self.end {
            return true;
        }
        let Some(&[kind]) = self.packet.window::<1>(self.at) else {
            return true;
        };
        if kind == NO_OPERATION {
            self.at += 1;
            return false;
        }
        let Some(&[len]) = self.packet.window::<1>(self.at + 1) else {
            return true;
        };
        let len = u32::from(len);
        if kind == END || len < 2 || self.at + len > self.end {
            return true;
        }
        if kind == MSS {
            if len == MSS_LEN {
                self.found = self.at;
            }
            return true;
        }
        self.at += len;
        false
    }
}
