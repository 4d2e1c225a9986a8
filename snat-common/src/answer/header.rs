//! What every answer begins with.

use crate::{
    checksum,
    flow::Addr,
    packet::{ETH_LEN, Packet},
    parse::Parsed,
    wire::{load16, load32, store16, store32},
};

/// Length of an IPv4 header without options.
pub(super) const IP_LEN: u32 = 20;
/// What RFC 1700 recommends.
const TTL: u8 = 64;

/// An IPv4 header to be.
pub(super) struct Header {
    /// Version and header length.
    pub(super) version: u8,
    pub(super) tos: u8,
    pub(super) len: u16,
    pub(super) protocol: u8,
    pub(super) src: Addr,
    pub(super) dst: Addr,
}

impl Header {
    /// Writes it, clears `options` bytes behind it (which ends the options: RFC 791 §3.1), and sends the frame
    /// back to the station that it came from.
    #[inline(always)]
    pub(super) fn write<P: Packet>(&self, packet: &mut P, options: u32) -> Option<()> {
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
        ip[0] = self.version;
        ip[1] = self.tos;
        store16::<2, 20>(ip, self.len.to_be());
        // Never to be cut up, so it needs no identification (RFC 6864 §4.1).
        store16::<4, 20>(ip, 0);
        store16::<6, 20>(ip, 0x4000_u16.to_be());
        ip[8] = TTL;
        ip[9] = self.protocol;
        store16::<10, 20>(ip, 0);
        store32::<12, 20>(ip, u32::from_ne_bytes(self.src));
        store32::<16, 20>(ip, u32::from_ne_bytes(self.dst));
        let field = !checksum::fold(checksum::header_sum(ip));
        store16::<10, 20>(ip, field);
        Some(())
    }
}

/// The folded sum of the pseudo header, in native order.
#[inline(always)]
pub(super) fn pseudo_sum(parsed: &Parsed, transport_len: u32) -> u16 {
    let words = u64::from(u32::from_ne_bytes(parsed.key.src))
        + u64::from(u32::from_ne_bytes(parsed.key.dst));
    let sum = (words & 0xffff) as u32 + (words >> 16 & 0xffff) as u32 + (words >> 32) as u32;
    checksum::fold(
        sum + u32::from((transport_len as u16).to_be())
            + u32::from(u16::from(parsed.ip_protocol).to_be()),
    )
}
