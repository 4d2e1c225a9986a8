//! All that can be wrong with, or unusual about, the headers of one frame.

use crate::scene::repair_header;

/// Ethernet, IPv4, TCP.
const HEADERS: usize = 54;

/// A TCP segment or a UDP datagram without options, each time with something else changed; where that is in the IP
/// header, with its checksum wrong and with its checksum right.
pub(super) fn accidents(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for at in 0..frame.len().min(HEADERS) {
        all.extend((0..8).map(|bit| changed(frame, at, &[frame[at] ^ 1 << bit])));
    }
    // Version and header length; flags and fragment offset; TTL; TCP's data offset.
    all.extend((0..16).map(|words| changed(frame, 14, &[0x40 | words])));
    let pieces = [
        [0, 1],
        [0x1f, 0xff],
        [0x20, 0],
        [0x3f, 0xff],
        [0x60, 0],
        [0xc0, 0],
    ];
    all.extend(pieces.map(|piece| changed(frame, 20, &piece)));
    all.extend([0, 1, 2, 3, 255].map(|ttl| changed(frame, 22, &[ttl])));
    all.extend((0..16).map(|words| changed(frame, 46, &[words << 4])));
    let ip_len = frame.len() as u16 - 14;
    for len in 0..ip_len + 3 {
        // UDP's, the packet's, and that of what there is of it.
        all.push(changed(frame, 38, &len.to_be_bytes()));
        let said = changed(frame, 16, &len.to_be_bytes());
        all.push(said.iter().copied().take(14 + usize::from(len)).collect());
        all.push(said);
    }
    all.extend((0..=frame.len()).map(|len| frame[..len].to_vec()));
    let right = all.clone().into_iter().map(|mut frame| {
        repair_header(&mut frame);
        frame
    });
    all.extend(right);
    all
}

fn changed(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}
