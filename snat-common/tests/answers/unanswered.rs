//! What gets no answer (RFC 1812 §4.3.2.7), or none for now.

use snat_common::Verdict;

use crate::{
    env::{CLIENT, EXTERNAL, FORGED, NOBODY, SERVER, World},
    frame::{Frame, sum},
};

fn frame() -> Frame {
    Frame::udp(CLIENT, SERVER, &[], b"data")
}

fn is_answered(frame: Frame) -> bool {
    let world = World::new();
    let answered = world.answer(frame, Verdict::Unreachable, 0).is_some();
    assert_eq!(world.held_back.get(), 0);
    answered
}

/// The frame with another word in its IP header.
fn with(mut frame: Frame, at: usize, word: u16) -> Frame {
    frame.bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
    frame.bytes[24..26].fill(0);
    let sum = !sum(&frame.bytes[14..34]);
    frame.bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn neither_errors_nor_unknown_icmp_are_answered_but_queries_are() {
    for kind in [3, 4, 5, 11, 12, 40] {
        let message = [kind, 0, 0, 0, 0, 0, 0, 0];
        assert!(!is_answered(Frame::ip(CLIENT, SERVER, 1, &[], &message)));
    }
    let message = [8, 0, 0, 0, 0, 1, 0, 1];
    assert!(is_answered(Frame::ip(CLIENT, SERVER, 1, &[], &message)));
}

#[test]
fn fragments_but_the_first_are_not_answered() {
    assert!(!is_answered(with(frame(), 20, 1)));
    assert!(!is_answered(with(frame(), 20, 0x2001)));
    assert!(is_answered(with(frame(), 20, 0x2000)));
}

#[test]
fn what_was_sent_to_many_is_not_answered() {
    for dst in [[224, 0, 0, 1], [255; 4], [240, 0, 0, 1]] {
        assert!(!is_answered(Frame::udp(CLIENT, dst, &[], b"data")));
    }
    for station in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let mut frame = frame();
        frame.bytes[..6].copy_from_slice(&station);
        assert!(!is_answered(frame));
    }
}

#[test]
fn what_nobody_in_particular_has_sent_is_not_answered() {
    for src in [
        [0; 4],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [240, 0, 0, 1],
        [255; 4],
    ] {
        assert!(!is_answered(Frame::udp(src, SERVER, &[], b"data")));
    }
}

#[test]
fn a_gateway_told_to_be_silent_is_silent() {
    let mut world = World::new();
    world.settings.refusal_code = 255;
    assert!(world.answer(frame(), Verdict::PortsExhausted, 0).is_none());
}

#[test]
fn outside_is_not_told_why_it_opened_no_flow() {
    let frame = Frame::udp(SERVER, EXTERNAL, &[], b"data");
    assert!(World::new().answer(frame, Verdict::TableFull, 0).is_none());
}

#[test]
fn a_packet_that_may_be_cut_up_is_not_called_too_big() {
    let frame = with(Frame::udp(SERVER, EXTERNAL, &[], b"data"), 20, 0);
    assert!(World::new().answer(frame, Verdict::TooBig, 1300).is_none());
}

#[test]
fn no_more_answers_than_allowed_are_sent_and_the_rest_is_counted() {
    let world = World::new();
    assert!(world.answer(frame(), Verdict::Unreachable, 0).is_some());
    assert!(world.answer(frame(), Verdict::Unreachable, 0).is_none());
    assert_eq!((world.sent.get(), world.held_back.get()), (1, 1));
}

#[test]
fn who_is_not_where_the_packet_came_from_is_not_answered() {
    for src in [FORGED, NOBODY] {
        assert!(!is_answered(Frame::udp(src, SERVER, &[], b"data")));
    }
    let mut frame = frame();
    frame.bytes[6] |= 1;
    assert!(!is_answered(frame));
}
