//! Resets to segments without a flow (RFC 9293 §3.5.2, §3.10.7.1).

use snat_common::{Verdict, settings::resets, tcp};

use crate::{
    env::{CLIENT, CLIENT_MAC, GATEWAY_MAC, SERVER, World},
    frame::Frame,
};

const ECE: u8 = 0x40;
const PSH: u8 = 0x08;

/// Sequence number, acknowledgement number and flags of the reset.
fn reset(frame: Frame) -> (u32, u32, u8) {
    let options = frame.transport() - 34;
    let answer = World::new().answer(frame, Verdict::TcpNoFlow, 0);
    let answer = answer.expect("a reset");
    answer.expect_sound();
    let bytes = &answer.bytes;
    assert_eq!(
        (&bytes[..6], &bytes[6..12]),
        (&CLIENT_MAC[..], &GATEWAY_MAC[..])
    );
    assert_eq!((answer.addr(26), answer.addr(30)), (SERVER, CLIENT));
    assert_eq!(bytes[34..34 + options], vec![0; options]);
    let at = answer.transport();
    assert_eq!(bytes.len(), at + 20);
    assert_eq!((answer.be16(at), answer.be16(at + 2)), (80, 4000));
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
    (number(at + 4), number(at + 8), bytes[at + 13])
}

#[test]
fn a_segment_with_ack_is_reset_at_the_number_it_acknowledges() {
    let data = vec![7; 1000];
    for frame in [
        Frame::tcp(&[], [1000, 0xffff_fff0], tcp::ACK, &[]),
        Frame::tcp(&[], [1000, 0xffff_fff0], tcp::ACK | tcp::FIN, &[]),
        Frame::tcp(
            &[1, 1, 1, 0],
            [1000, 0xffff_fff0],
            tcp::ACK | PSH,
            &[1, 1, 1, 0],
        )
        .with_data(&data),
    ] {
        assert_eq!(reset(frame.clone()), (0xffff_fff0, 0, tcp::RST));
        assert_eq!(reset(frame.unfinished()), (0xffff_fff0, 0, tcp::RST));
    }
}

#[test]
fn a_segment_without_ack_is_reset_with_all_of_it_acknowledged() {
    let rst = tcp::RST | tcp::ACK;
    let all = tcp::SYN | tcp::FIN | ECE;
    for (frame, ack) in [
        (Frame::tcp(&[], [0xffff_ffff, 5], 0, &[]), 0xffff_ffff),
        (Frame::tcp(&[], [0xffff_ffff, 5], tcp::FIN, &[]), 0),
        (
            Frame::tcp(&[], [0xffff_ffff, 5], all, &[]).with_data(&[1; 11]),
            12,
        ),
    ] {
        assert_eq!(reset(frame.clone()), (0, ack, rst));
        assert_eq!(reset(frame.unfinished()), (0, ack, rst));
    }
}

#[test]
fn only_those_are_reset_who_are_configured_to_be() {
    let stray = |resets, verdict| {
        let mut world = World::new();
        world.settings.resets = resets;
        let frame = Frame::tcp(&[], [1, 1], tcp::ACK, &[]);
        world.answer(frame, verdict, 0).is_some()
    };
    assert!(stray(resets::CLIENTS, Verdict::TcpNoFlow));
    assert!(!stray(resets::CLIENTS, Verdict::StrayIn));
    assert!(stray(resets::SERVERS, Verdict::StrayIn));
    assert!(!stray(resets::SERVERS, Verdict::TcpNoFlow));
}

#[test]
fn a_reset_is_not_answered() {
    for flags in [tcp::RST, tcp::RST | tcp::ACK, tcp::RST | tcp::SYN] {
        let frame = Frame::tcp(&[], [1, 1], flags, &[]);
        assert!(World::new().answer(frame, Verdict::TcpNoFlow, 0).is_none());
    }
}
