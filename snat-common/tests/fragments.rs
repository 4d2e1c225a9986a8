//! Fragments as the parser reads them, and the account of what has come of a datagram.

use std::ptr::NonNull;

use snat_common::{
    Datagram, DatagramHead, DatagramRef, Protocol, Verdict,
    datagram::Blocks,
    env::Step as _,
    parse::{Parsed, parse},
};

const MORE: u16 = 0x2000;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;

/// A frame with an IPv4 header that is right, and `data` behind it.
fn frame(protocol: u8, word: u16, data: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0];
    ip.extend((20 + data.len() as u16).to_be_bytes());
    ip.extend([0x12, 0x34]);
    ip.extend(word.to_be_bytes());
    ip.extend([64, protocol, 0, 0, 172, 16, 1, 11, 198, 51, 100, 20]);
    let mut sum: u32 = ip
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    ip[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    [&[0; 12][..], &[8, 0], &ip, data].concat()
}

fn read(protocol: u8, word: u16, data: &[u8]) -> Parsed {
    let mut bytes = frame(protocol, word, data);
    parse(&bytes.as_mut_slice()).expect("a sound IPv4 header")
}

/// A UDP header of a datagram that says to have `len` bytes.
fn udp(len: u16, data: usize) -> Vec<u8> {
    let mut bytes = [4000, 53, len, 0].map(u16::to_be_bytes).concat();
    bytes.resize(8 + data, 7);
    bytes
}

fn tcp(offset: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[..4].copy_from_slice(&[0x0f, 0xa0, 0, 80]);
    if let Some(byte) = bytes.get_mut(12) {
        *byte = offset << 4;
    }
    bytes
}

#[test]
fn a_first_fragment_reads_like_a_packet() {
    let parsed = read(UDP, MORE, &udp(6008, 1400));
    assert_eq!(parsed.flaw, None);
    assert_eq!((parsed.key.src_port, parsed.key.dst_port), (4000, 53));
    assert!(parsed.piece.is_some() && !parsed.piece.is_later() && parsed.opens);
    assert_eq!(parsed.piece.id, 0x1234);
    // The same that is no fragment says more than it has.
    let whole = read(UDP, 0, &udp(6008, 1400));
    assert_eq!(whole.flaw, Some(Verdict::MalformedTransport));
}

#[test]
fn a_later_fragment_has_no_ports() {
    let parsed = read(UDP, MORE | 175, &udp(6008, 1392));
    assert_eq!(parsed.flaw, Some(Verdict::FragmentHeld));
    assert_eq!((parsed.key.src_port, parsed.key.dst_port), (0, 0));
    assert_eq!(parsed.key.protocol, Protocol::Udp);
    assert_eq!(parsed.piece.offset(), 1400);
    assert_eq!(read(200, 1, &[0; 8]).key.number, 200);
}

#[test]
fn dont_fragment_alone_is_no_fragment() {
    let parsed = read(UDP, 0x4000, &udp(16, 8));
    assert!(!parsed.piece.is_some() && parsed.dont_fragment);
    assert_eq!(parsed.flaw, None);
}

/// RFC 1858 §3, RFC 3128: the first fragment has the whole transport header.
#[test]
fn a_tiny_first_fragment_is_invalid() {
    for (protocol, data) in [
        (TCP, tcp(5, 16)),
        (TCP, tcp(8, 24)),
        (UDP, vec![]),
        (132, vec![0; 8]),
    ] {
        let parsed = read(protocol, MORE, &data);
        assert_eq!(parsed.flaw, Some(Verdict::FragmentInvalid), "{protocol}");
    }
    assert_eq!(read(TCP, MORE, &tcp(5, 24)).flaw, None);
    assert_eq!(read(TCP, MORE, &tcp(8, 32)).flaw, None);
    assert_eq!(read(UDP, MORE, &udp(100, 0)).flaw, None);
}

#[test]
fn a_fragment_that_begins_inside_the_tcp_header_is_invalid() {
    for (offset, flaw) in [
        (1, Verdict::FragmentInvalid),
        (2, Verdict::FragmentInvalid),
        (3, Verdict::FragmentHeld),
    ] {
        assert_eq!(read(TCP, offset, &[0; 64]).flaw, Some(flaw), "{offset}");
    }
    assert_eq!(read(UDP, 1, &[0; 64]).flaw, Some(Verdict::FragmentHeld));
}

#[test]
fn no_datagram_is_larger_than_its_length_field_can_say() {
    // 20 bytes of header, 65,512 before it, and so many.
    for (len, flaw) in [(3, Verdict::FragmentHeld), (4, Verdict::FragmentInvalid)] {
        assert_eq!(read(UDP, 8189, &vec![0; len]).flaw, Some(flaw), "{len}");
    }
}

#[test]
fn all_but_the_last_are_cut_at_a_blocks_end() {
    assert_eq!(
        read(UDP, MORE | 1, &[0; 9]).flaw,
        Some(Verdict::FragmentInvalid)
    );
    assert_eq!(read(UDP, 1, &[0; 9]).flaw, Some(Verdict::FragmentHeld));
    assert_eq!(
        read(UDP, MORE | 1, &[]).flaw,
        Some(Verdict::FragmentInvalid)
    );
}

#[test]
fn an_icmp_error_in_fragments_is_none_to_us() {
    let error = read(
        ICMP,
        MORE,
        &[&[3, 4, 0, 0, 0, 0, 0, 0][..], &[0; 64]].concat(),
    );
    assert!(!error.icmp_error);
    assert_eq!(error.flaw, Some(Verdict::IcmpType));
}

/// An account of what has come, blocks first to before end at a time.
fn account(parts: &[(u32, u32, bool)]) -> (Vec<bool>, DatagramHead) {
    let mut datagram = Datagram {
        head: DatagramHead {
            begun: 0,
            total: 0,
            seen: 0,
            src_port: 1,
            dst_port: 2,
            new_id: 3,
            zero: 0,
        },
        blocks: [0; 128],
    };
    // SAFETY: it lives until the end of this function, which has no reference to it meanwhile.
    let shared = unsafe { DatagramRef::new(NonNull::from(&mut datagram)) };
    let repeat = |limit, blocks: &mut Blocks<'_>| {
        for index in 0..limit {
            if blocks.turn(index) {
                break;
            }
        }
    };
    let taken = parts
        .iter()
        .map(|(first, end, last)| shared.take(repeat, *first, *end, *last))
        .collect();
    (taken, shared.head())
}

#[test]
fn a_datagram_is_whole_when_every_block_has_come() {
    let (taken, head) = account(&[(0, 175, false), (350, 438, true), (175, 350, false)]);
    assert_eq!(taken, [true; 3]);
    assert_eq!((head.seen, head.total), (438, 438));
    let (taken, head) = account(&[(0, 8192, true)]);
    assert_eq!((taken, head.seen), (vec![true], 8192));
}

#[test]
fn an_overlap_is_refused_and_leaves_no_mark() {
    let (taken, head) = account(&[
        (0, 64, false),
        (0, 64, false),
        (63, 65, false),
        (64, 128, false),
        (127, 300, false),
        (128, 300, true),
    ]);
    assert_eq!(taken, [true, false, false, true, false, true]);
    assert_eq!((head.seen, head.total), (300, 300));
}

#[test]
fn nothing_comes_behind_the_end() {
    let (taken, _) = account(&[(10, 20, true), (20, 21, false), (5, 6, true), (5, 6, false)]);
    assert_eq!(taken, [true, false, false, true]);
}
