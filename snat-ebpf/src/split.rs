//! Packets without DF that are larger than their way: cut into fragments, which come in one by one.
//!
//! They are cut as they came, not translated; each piece then goes the way of every fragment, so that there is
//! one place that translates them.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_skb_change_tail, bpf_skb_store_bytes},
};
use snat_common::{
    Env as _, Frame, checksum,
    env::Step,
    settings::MAX_HELD_FRAME,
    wire::{be16, load16, store16, within},
};

use crate::{
    fragment::{ANEW, let_in, put_aside},
    kernel::Kernel,
    maps::ASIDE,
};

/// Ethernet and IPv4 header.
const HEADERS: u32 = 34;
const IP_LEN: u32 = 20;
/// Most pieces: those of the largest frame over the smallest MTU (RFC 791).
const MAX_PIECES: u32 = MAX_HELD_FRAME / (68 - IP_LEN);

/// Cuts a packet into IP packets of at most `mtu` bytes and lets those in. False where that can't be done: it
/// is larger than any frame that we keep, or has options.
#[inline(always)]
pub(crate) fn split(skb: *mut __sk_buff, env: &Kernel<true>, mtu: u16) -> bool {
    let Some(aside) = put_aside(skb, env.now()) else {
        return false;
    };
    // SAFETY: this CPU's own element.
    let frame = unsafe { &(*aside.as_ptr()).frame };
    let Some(head) = frame.bytes.first_chunk::<34>() else {
        return false;
    };
    let ip_len = u32::from(be16::<16, 34>(head));
    if head[14] != 0x45
        || ip_len <= IP_LEN
        || ip_len + 14 > frame.len
        || u32::from(mtu) < IP_LEN + 8
    {
        return false;
    }
    if is_unfinished(frame) {
        return false;
    }
    let mut cut = Cut {
        skb,
        ingress: env.ingress(),
        head: *head,
        data: ip_len - IP_LEN,
        size: (u32::from(mtu) - IP_LEN) & !7,
        failed: false,
    };
    env.repeat(MAX_PIECES, &mut cut);
    !cut.failed
}

/// Whether the transport checksum is left to the sending hardware. It would be told to finish it in each piece.
///
/// There is no telling but by the field, which then holds the sum of the pseudo header. One finished checksum in
/// 65,536 looks like it.
#[inline(always)]
fn is_unfinished(frame: &Frame) -> bool {
    let Some(packet) = frame.bytes.first_chunk::<54>() else {
        return false;
    };
    let field = match packet[23] {
        6 => load16::<50, 54>(packet),
        17 => load16::<40, 54>(packet),
        _ => return false,
    };
    if be16::<20, 54>(packet) & 0x3fff != 0 {
        return false;
    }
    let len = be16::<16, 54>(packet) - IP_LEN as u16;
    let mut sum = u32::from(u16::from(packet[23]).to_be()) + u32::from(len.to_be());
    sum += u32::from(load16::<26, 54>(packet)) + u32::from(load16::<28, 54>(packet));
    sum += u32::from(load16::<30, 54>(packet)) + u32::from(load16::<32, 54>(packet));
    checksum::fold(sum) == field
}

/// The walk over the pieces.
struct Cut {
    skb: *mut __sk_buff,
    ingress: u32,
    /// The headers of the packet.
    head: [u8; 34],
    /// How many bytes follow them.
    data: u32,
    /// How many of those a piece has.
    size: u32,
    failed: bool,
}

impl Step for Cut {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        let from = index * self.size;
        if from >= self.data {
            return true;
        }
        let rest = self.data - from;
        let size = if rest < self.size { rest } else { self.size };
        let mut head = self.head;
        let old = be16::<20, 34>(&head);
        // The piece's place in the datagram, whose own last piece may be another's.
        let more = if size < rest { 0x2000 } else { old & 0x2000 };
        let word = more | ((old & 0x1fff) + (from / 8) as u16);
        let len = (IP_LEN + size) as u16;
        let delta = u32::from(checksum::word_delta(load16::<16, 34>(&head), len.to_be()))
            + u32::from(checksum::word_delta(load16::<20, 34>(&head), word.to_be()));
        let sum = checksum::adjust(load16::<24, 34>(&head), delta);
        store16::<16, 34>(&mut head, len.to_be());
        store16::<20, 34>(&mut head, word.to_be());
        store16::<24, 34>(&mut head, sum);
        self.failed = !self.make(&head, from, size) || !let_in(self.skb, self.ingress);
        self.failed
    }
}

impl Cut {
    /// Makes the packet this piece.
    #[inline(always)]
    fn make(&self, head: &[u8; 34], from: u32, size: u32) -> bool {
        let Some(aside) = ASIDE.get_ptr(0) else {
            return false;
        };
        let from = within::<{ MAX_HELD_FRAME - HEADERS }>(HEADERS + from);
        let size = within::<MAX_HELD_FRAME>(size);
        // SAFETY: the program's context; what is stored is inside the stack's 34 bytes and the map's element.
        unsafe {
            let bytes = (&raw const (*aside).frame.bytes)
                .cast::<u8>()
                .add(from as usize);
            bpf_skb_change_tail(self.skb, HEADERS + size, 0) == 0
                && bpf_skb_store_bytes(self.skb.cast(), 0, head.as_ptr().cast(), HEADERS, ANEW) == 0
                && bpf_skb_store_bytes(self.skb.cast(), HEADERS, bytes.cast(), size, ANEW) == 0
        }
    }
}
