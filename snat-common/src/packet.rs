//! The one way to touch packet bytes: a window of fixed size, bounds checked once.

use crate::{
    checksum,
    wire::{load16, store16},
};

/// Length of an Ethernet header without VLAN tag.
pub const ETH_LEN: u32 = 14;

/// A frame that starts at its Ethernet header.
pub trait Packet {
    /// Bytes on the wire, Ethernet header included.
    fn frame_len(&self) -> u32;

    /// `N` bytes from `offset`, or `None` where the frame is shorter.
    fn window<const N: usize>(&self, offset: u32) -> Option<&[u8; N]>;

    /// As [`Packet::window`], to write to.
    fn window_mut<const N: usize>(&mut self, offset: u32) -> Option<&mut [u8; N]>;

    /// Makes the first `len` bytes readable, as far as the frame has them.
    ///
    /// Only a hook whose frames may be in pieces has reason to override this.
    #[inline(always)]
    fn make_linear(&mut self, _len: u32) {}

    /// Makes the frame `len` bytes long, new ones zero. False where that can't be done.
    ///
    /// A hook whose packets may carry a checksum that is yet to be finished refuses a length that would cut
    /// off that field.
    #[inline(always)]
    fn resize(&mut self, _len: u32) -> bool {
        false
    }

    /// Inserts `len` bytes between the Ethernet header and what follows it. False where that can't be done.
    #[inline(always)]
    fn make_room(&mut self, _len: u32) -> bool {
        false
    }

    /// Says that the packet is another one now: what hardware knows of its checksums is no longer so.
    #[inline(always)]
    fn is_made_anew(&mut self) {}

    /// Adjusts the transport checksum at `offset` by what the address (part of the pseudo header) and
    /// the port (part of the segment) changed.
    ///
    /// A hook whose packets may carry partial or hardware checksums overrides this.
    #[inline(always)]
    fn adjust_transport_checksum(&mut self, offset: u32, change: TransportChange) -> Option<()> {
        let field = self.window_mut::<2>(offset)?;
        let old = load16::<0, 2>(field);
        let delta = u32::from(change.addr_delta) + u32::from(change.port_delta);
        let new = if change.zero_means_none {
            checksum::adjust_udp(old, delta)
        } else {
            checksum::adjust(old, delta)
        };
        store16::<0, 2>(field, new);
        Some(())
    }

    /// How many packets this frame is on the wire, each with the same headers of `headers` bytes,
    /// and the size of the largest one's IP packet.
    ///
    /// Only a hook that sees merged (GSO) packets has reason to override this.
    #[inline(always)]
    fn on_wire(&self, ip_len: u16, _headers: u32) -> OnWire {
        OnWire {
            packets: 1,
            largest: u32::from(ip_len),
        }
    }
}

/// A frame as the wire sees it.
#[derive(Clone, Copy, Debug)]
pub struct OnWire {
    /// How many packets it is.
    pub packets: u32,
    /// IP length of the largest.
    pub largest: u32,
}

/// What a translation does to a transport checksum.
#[derive(Clone, Copy, Debug)]
pub struct TransportChange {
    /// Difference the address makes in the pseudo header; 0 for ICMP, which has none.
    pub addr_delta: u16,
    /// Difference the port or identifier makes.
    pub port_delta: u16,
    /// UDP: a checksum of 0 means there is none, so 0 is left alone and never produced (RFC 768).
    pub zero_means_none: bool,
}

/// A frame in memory, for everything but the kernel.
impl Packet for &mut [u8] {
    fn frame_len(&self) -> u32 {
        self.len() as u32
    }

    fn window<const N: usize>(&self, offset: u32) -> Option<&[u8; N]> {
        self.get(offset as usize..)?.first_chunk()
    }

    fn window_mut<const N: usize>(&mut self, offset: u32) -> Option<&mut [u8; N]> {
        self.get_mut(offset as usize..)?.first_chunk_mut()
    }
}
