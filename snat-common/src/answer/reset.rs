//! TCP resets: the segment's headers are written anew where they stand.

use super::header::{Header, IP_LEN, pseudo_sum};
use crate::{
    checksum,
    packet::{ETH_LEN, Packet},
    parse::Parsed,
    tcp,
    wire::{load16, load32, store16, store32},
};

const TCP_LEN: u32 = 20;

/// Makes the segment the reset that answers it (RFC 9293 §3.5.2, §3.10.7.1).
#[inline(never)]
pub(super) fn make<P: Packet>(packet: &mut P, parsed: &Parsed) -> Option<()> {
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
    header.write(packet, header_len - IP_LEN)
}
