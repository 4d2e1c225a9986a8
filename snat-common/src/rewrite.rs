//! Last stage: the new address and port, TTL, checksums, and the Ethernet header of the next hop.

use crate::{
    checksum,
    flow::{Addr, Protocol},
    next_hop::Hop,
    packet::{Packet, TransportChange},
    parse::Parsed,
    wire::{load16, store16, store32},
};

/// What a flow does to its packets.
#[derive(Clone, Copy, Debug)]
pub struct Translation {
    /// Whether the destination is rewritten (else the source).
    pub inbound: bool,
    /// New address.
    pub addr: Addr,
    /// New port or identifier.
    pub port: u16,
    /// What the address changes in a checksum.
    pub addr_delta: u16,
    /// What the port changes in a checksum.
    pub port_delta: u16,
    /// IP identification that it leaves with.
    pub ip_id: u16,
}

/// Rewrites the packet. `None` where the packet is shorter than it said or can't be written.
///
/// The transport comes first: in TC its checksum helper may move the packet.
#[inline(always)]
pub fn rewrite<P: Packet>(
    packet: &mut P,
    parsed: &Parsed,
    translation: &Translation,
    hop: &Hop,
) -> Option<()> {
    let change = TransportChange {
        addr_delta: translation.addr_delta,
        port_delta: translation.port_delta,
        zero_means_none: false,
    };
    let header_at = parsed.transport;
    let port_at = header_at + if translation.inbound { 2 } else { 0 };
    let fields = match parsed.key.protocol {
        Protocol::Tcp => Some((port_at, header_at + 16, change)),
        Protocol::Udp => {
            let change = TransportChange {
                zero_means_none: true,
                ..change
            };
            Some((port_at, header_at + 6, change))
        }
        Protocol::UdpLite => Some((port_at, header_at + 6, change)),
        Protocol::Icmp => {
            let change = TransportChange {
                addr_delta: 0,
                ..change
            };
            Some((header_at + 4, header_at + 2, change))
        }
        // Address only.
        Protocol::Sctp | Protocol::Gre | Protocol::Esp | Protocol::Other => None,
    };
    // A later fragment has no transport header: the checksum was adjusted in the first.
    if !parsed.piece.is_later()
        && let Some((port_at, checksum_at, change)) = fields
    {
        store16::<0, 2>(packet.window_mut(port_at)?, translation.port.to_be());
        packet.adjust_transport_checksum(checksum_at, change)?;
    }

    let header = Header {
        inbound: translation.inbound,
        addr: translation.addr,
        addr_delta: translation.addr_delta,
        ttl: parsed.ttl,
        ip_id: translation.ip_id,
    };
    rewrite_header(packet, &header, hop)
}

/// What changes in the IP header.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Whether the destination is rewritten (else the source).
    pub inbound: bool,
    /// New address.
    pub addr: Addr,
    /// What it changes in the header's checksum.
    pub addr_delta: u16,
    /// Time to live on arrival.
    pub ttl: u8,
    /// IP identification that it leaves with.
    pub ip_id: u16,
}

/// Rewrites the IP header, and the Ethernet header if the next hop's address is known; of a packet that
/// stays, the address only.
#[inline(always)]
pub fn rewrite_header<P: Packet>(packet: &mut P, header: &Header, hop: &Hop) -> Option<()> {
    let head = packet.window_mut::<34>(0)?;
    let mut delta = u32::from(header.addr_delta);
    if !hop.stays {
        head[22] = header.ttl - 1;
        delta += u32::from(checksum::TTL_DELTA);
    }
    if !hop.stays && hop.unresolved == [0; 4] {
        write_macs(head, hop);
    }
    write_addr(head, header.inbound, header.addr, delta);
    renumber(head, header.ip_id);
    Some(())
}

/// Writes the Ethernet addresses.
#[inline(always)]
pub(crate) fn write_macs<const N: usize>(head: &mut [u8; N], hop: &Hop) {
    let [a, b, c, d, e, f] = hop.dst_mac;
    store32::<0, N>(head, u32::from_ne_bytes([a, b, c, d]));
    store16::<4, N>(head, u16::from_ne_bytes([e, f]));
    let [a, b, c, d, e, f] = hop.src_mac;
    store32::<6, N>(head, u32::from_ne_bytes([a, b, c, d]));
    store16::<10, N>(head, u16::from_ne_bytes([e, f]));
}

/// Writes the new address, and what it and all else change in the header's checksum.
#[inline(always)]
pub(crate) fn write_addr<const N: usize>(
    head: &mut [u8; N],
    inbound: bool,
    addr: Addr,
    delta: u32,
) {
    let checksum = checksum::adjust(load16::<24, N>(head), delta);
    store16::<24, N>(head, checksum);
    if inbound {
        store32::<30, N>(head, u32::from_ne_bytes(addr));
    } else {
        store32::<26, N>(head, u32::from_ne_bytes(addr));
    }
}

/// Gives the packet another identification.
#[inline(always)]
pub(crate) fn renumber<const N: usize>(head: &mut [u8; N], id: u16) {
    let (old, new) = (load16::<18, N>(head), id.to_be());
    if new != old {
        store16::<18, N>(head, new);
        let delta = u32::from(checksum::word_delta(old, new));
        let checksum = checksum::adjust(load16::<24, N>(head), delta);
        store16::<24, N>(head, checksum);
    }
}
