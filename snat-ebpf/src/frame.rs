//! Packet bytes in the two hooks: the same window, different checksums.

use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
        xdp_md,
    },
    helpers::{
        bpf_csum_update, bpf_l4_csum_replace, bpf_skb_adjust_room, bpf_skb_change_tail,
        bpf_skb_pull_data,
    },
};
use snat_common::{
    Packet,
    packet::{OnWire, TransportChange},
    wire::opaque,
};

/// A frame in a driver's receive buffer.
pub(crate) struct XdpFrame(pub(crate) *mut xdp_md);

/// A frame in a socket buffer, possibly merged from several, its checksum possibly not computed yet.
pub(crate) struct SkbFrame(*mut __sk_buff);

/// The longest headers that are looked at: Ethernet, IPv4 with options, TCP.
const HEADERS: u32 = 14 + 60 + 20;
/// The same of a packet without options.
const PLAIN: u32 = 14 + 20 + 20;
/// Ethernet and IPv4.
const IP: u32 = 14 + 20;

impl XdpFrame {
    /// Where the bytes begin and end.
    ///
    /// Volatile: else LLVM would read them in a caller and hand them over as the 32-bit numbers that they
    /// look like, which to the verifier are pointers no more.
    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: the program's context; these fields are readable.
        unsafe {
            let data = (&raw const (*self.0).data).read_volatile();
            let data_end = (&raw const (*self.0).data_end).read_volatile();
            (data as usize, data_end as usize)
        }
    }
}

impl SkbFrame {
    /// As [`XdpFrame::bounds`].
    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: the program's context; these fields are readable.
        unsafe {
            let data = (&raw const (*self.0).data).read_volatile();
            let data_end = (&raw const (*self.0).data_end).read_volatile();
            (data as usize, data_end as usize)
        }
    }

    /// Makes sure that the headers are in the linear part.
    #[inline(always)]
    pub(crate) fn new(skb: *mut __sk_buff) -> Self {
        Self::linear(skb, HEADERS)
    }

    /// The same, if there are no options. Of a large TCP packet nothing else is there, and to have more would mean to
    /// copy its head and to take a reference on each of its pages.
    #[inline(always)]
    pub(crate) fn plain(skb: *mut __sk_buff) -> Self {
        Self::linear(skb, PLAIN)
    }

    /// The same for the IP header alone.
    #[inline(always)]
    pub(crate) fn ip(skb: *mut __sk_buff) -> Self {
        Self::linear(skb, IP)
    }

    #[inline(always)]
    fn linear(skb: *mut __sk_buff, len: u32) -> Self {
        let mut frame = Self(skb);
        frame.make_linear(len);
        frame
    }
}

/// The bounds check that every packet access goes through.
///
/// # Safety
/// `bounds` are the context's `data` and `data_end`, read after the last helper that moves packets.
#[inline(always)]
unsafe fn window<const N: usize>(bounds: (usize, usize), offset: u32) -> Option<*mut [u8; N]> {
    let (data, data_end) = bounds;
    // Nothing that is looked at begins beyond this, and the verifier wants to see that from here.
    let start = opaque(data + (offset & 0x7ff) as usize);
    (start + N <= data_end).then_some(start as *mut [u8; N])
}

impl Packet for XdpFrame {
    #[inline(always)]
    fn frame_len(&self) -> u32 {
        // SAFETY: the program's context.
        unsafe { (*self.0).data_end - (*self.0).data }
    }

    #[inline(always)]
    fn window<const N: usize>(&self, offset: u32) -> Option<&[u8; N]> {
        // SAFETY: bounds checked; nothing else writes to the frame while the program runs.
        unsafe { Some(&*window(self.bounds(), offset)?) }
    }

    #[inline(always)]
    fn window_mut<const N: usize>(&mut self, offset: u32) -> Option<&mut [u8; N]> {
        // SAFETY: as in `window`, and `self` is borrowed mutably.
        unsafe { Some(&mut *window(self.bounds(), offset)?) }
    }
}

impl Packet for SkbFrame {
    #[inline(always)]
    fn frame_len(&self) -> u32 {
        // SAFETY: the program's context.
        unsafe { (*self.0).len }
    }

    #[inline(always)]
    fn window<const N: usize>(&self, offset: u32) -> Option<&[u8; N]> {
        // SAFETY: bounds checked, and read from the context anew after every helper.
        unsafe { Some(&*window(self.bounds(), offset)?) }
    }

    #[inline(always)]
    fn window_mut<const N: usize>(&mut self, offset: u32) -> Option<&mut [u8; N]> {
        // SAFETY: as in `window`, and `self` is borrowed mutably.
        unsafe { Some(&mut *window(self.bounds(), offset)?) }
    }

    #[inline(always)]
    fn make_linear(&mut self, len: u32) {
        // SAFETY: the program's context; these fields are readable.
        let (start, end, whole) = unsafe { ((*self.0).data, (*self.0).data_end, (*self.0).len) };
        let wanted = if whole < len { whole } else { len };
        if end - start < wanted {
            // SAFETY: the program's context. A failure leaves the frame short, which parsing handles.
            unsafe { bpf_skb_pull_data(self.0, wanted) };
        }
    }

    /// The helper refuses to cut off a checksum that is yet to be finished (`__bpf_skb_min_len()`). It also
    /// makes a merged packet one again.
    #[inline(always)]
    fn resize(&mut self, len: u32) -> bool {
        // SAFETY: the program's context.
        unsafe { bpf_skb_change_tail(self.0, len, 0) == 0 }
    }

    #[inline(always)]
    fn make_room(&mut self, len: u32) -> bool {
        // SAFETY: the program's context.
        unsafe { bpf_skb_adjust_room(self.0, len as i32, BPF_ADJ_ROOM_MAC, 0) == 0 }
    }

    /// What hardware has summed up (`CHECKSUM_COMPLETE`) becomes the sum of an IP packet whose checksums are
    /// right: all ones. Where there is none, the helper refuses, and nothing is to be done.
    #[inline(always)]
    fn is_made_anew(&mut self) {
        // SAFETY: the program's context.
        unsafe {
            let sum = bpf_csum_update(self.0, 0);
            if sum >= 0 {
                bpf_csum_update(self.0, !(sum as u32));
            }
        }
    }

    /// By the helper, which knows about checksums that hardware is yet to finish (only the address,
    /// part of the pseudo header, is in those) and about ones that hardware has verified.
    #[inline(always)]
    fn adjust_transport_checksum(&mut self, offset: u32, change: TransportChange) -> Option<()> {
        let zero = if change.zero_means_none {
            u64::from(BPF_F_MARK_MANGLED_0)
        } else {
            0
        };
        // SAFETY: the program's context; size 0 says that `to` is a difference.
        unsafe {
            if change.addr_delta != 0 {
                let flags = zero | u64::from(BPF_F_PSEUDO_HDR);
                if bpf_l4_csum_replace(self.0, offset, 0, u64::from(change.addr_delta), flags) != 0
                {
                    return None;
                }
            }
            (bpf_l4_csum_replace(self.0, offset, 0, u64::from(change.port_delta), zero) == 0)
                .then_some(())
        }
    }

    #[inline(always)]
    fn on_wire(&self, ip_len: u16, headers: u32) -> OnWire {
        // SAFETY: the program's context; these fields are readable.
        let (size, segments) = unsafe { ((*self.0).gso_size, (*self.0).gso_segs) };
        if size == 0 {
            return OnWire {
                packets: 1,
                largest: u32::from(ip_len),
            };
        }
        OnWire {
            packets: if segments == 0 {
                // From a virtual machine, which leaves the counting to us.
                let data = u32::from(ip_len).saturating_sub(headers);
                data.div_ceil(size).max(1)
            } else {
                segments
            },
            largest: size + headers,
        }
    }
}
