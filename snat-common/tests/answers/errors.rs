//! Which ICMP errors are sound (RFC 5508 REQ-3).

use snat_common::{
    icmp_error::{Kind, Quoted, recognise},
    parse::parse,
};

use crate::{
    env::{EXTERNAL, SERVER, World},
    frame::{Frame, sum},
};

/// What an error from a router is taken for that quotes a packet of the flow, both changed before the error's
/// checksum is computed.
fn kind(options: &[u8], beyond: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Kind {
    let mut sent = Frame::udp(EXTERNAL, SERVER, options, b"some data");
    let at = sent.transport();
    // From port 5000; the UDP checksum is wrong from here on, and nobody looks.
    sent.bytes[at..at + 2].copy_from_slice(&5000_u16.to_be_bytes());
    let mut message = vec![3, 1, 0, 0, 0, 0, 0, 0];
    message.extend(&sent.bytes[14..]);
    message.extend(beyond);
    change(&mut message);
    let sum = !sum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    recognised(&message)
}

fn recognised(message: &[u8]) -> Kind {
    let mut frame = Frame::ip([192, 0, 2, 1], EXTERNAL, 1, &[], message);
    let mut parsed = parse(&frame).expect("sound");
    let mut quoted = Quoted::NONE;
    let kind = recognise(&mut frame, &World::new(), &mut parsed, &mut quoted);
    assert_eq!(quoted.is_some() && kind == Kind::Ours, kind == Kind::Ours);
    kind
}

const OPTIONS: [u8; 8] = [7, 7, 4, 0, 0, 0, 0, 0];

#[test]
fn an_error_about_a_flow_is_recognised_with_any_options_in_what_it_quotes() {
    assert_eq!(kind(&[], &[], |_| {}), Kind::Ours);
    assert_eq!(kind(&OPTIONS, &[], |_| {}), Kind::Ours);
    assert_eq!(kind(&[1; 40], &[], |_| {}), Kind::Ours);
}

#[test]
fn extensions_and_padding_behind_the_quote_are_left_out_of_it() {
    // RFC 4884: padding to 128 bytes, then a structure with a checksum of its own; and any length at all.
    for len in [1, 2, 3, 4, 100, 500, 963] {
        assert_eq!(kind(&[], &vec![0xa5; len], |_| {}), Kind::Ours, "{len}");
    }
}

#[test]
fn a_wrong_checksum_of_the_quoted_header_ends_the_error() {
    for options in [&[][..], &OPTIONS] {
        let broken = kind(options, &[], |message| message[8 + 8] ^= 1);
        assert_eq!(broken, Kind::Invalid);
    }
    assert_eq!(
        kind(&OPTIONS, &[], |message| message[8 + 20 + 2] ^= 1),
        Kind::Invalid
    );
}

#[test]
fn a_wrong_checksum_of_its_own_ends_the_error() {
    let mut message = vec![3, 1, 0, 0, 0, 0, 0, 0];
    let mut sent = Frame::udp(EXTERNAL, SERVER, &[], b"odd");
    sent.bytes[34..36].copy_from_slice(&5000_u16.to_be_bytes());
    message.extend(&sent.bytes[14..]);
    let right = !sum(&message);
    message[2..4].copy_from_slice(&right.to_be_bytes());
    assert_eq!(recognised(&message), Kind::Ours);
    for i in [1, 5, message.len() - 1] {
        let mut broken = message.clone();
        broken[i] ^= 0x10;
        assert_eq!(recognised(&broken), Kind::Invalid, "byte {i}");
    }
}

#[test]
fn an_error_about_another_s_packet_is_none_of_ours_however_broken() {
    let foreign = kind(&[], &[], |message| message[8 + 20 + 1] ^= 1);
    assert_eq!(foreign, Kind::Foreign);
    let broken = kind(&[], &[], |message| {
        message[8 + 20 + 1] ^= 1;
        message[8 + 8] ^= 1;
    });
    assert_eq!(broken, Kind::Foreign);
}
