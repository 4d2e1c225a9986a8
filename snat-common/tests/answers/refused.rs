//! ICMP errors about refused packets.

use snat_common::{Addr, Verdict};

use crate::{
    env::{CLIENT, CLIENT_MAC, EXTERNAL, GATEWAY, GATEWAY_MAC, SERVER, World},
    frame::Frame,
};

const OPTIONS: [u8; 8] = [7, 7, 4, 0, 0, 0, 0, 0];

/// Fails unless `error` is a sound one from `src` that quotes so much of the packet.
fn expect(error: &Frame, src: Addr, kind: [u8; 2], about: &Frame, quoted: usize) {
    error.expect_sound();
    let bytes = &error.bytes;
    assert_eq!(
        (&bytes[..6], &bytes[6..12]),
        (&CLIENT_MAC[..], &GATEWAY_MAC[..])
    );
    assert_eq!((bytes[14], bytes[22], bytes[23]), (0x45, 64, 1));
    // Type of service of the packet, precedence 6 (RFC 1812 §4.3.2.5).
    assert_eq!(bytes[15], 0xc8);
    assert_eq!((error.addr(26), error.addr(30)), (src, about.addr(26)));
    assert_eq!(bytes[34..36], kind);
    assert_eq!(bytes.len(), 42 + quoted);
    assert_eq!(bytes[42..], about.bytes[14..14 + quoted]);
}

fn about_every_kind_of_packet() -> Vec<Frame> {
    let mut frames = Vec::new();
    for options in [&[][..], &OPTIONS] {
        for len in [0, 1, 2, 3, 600, 1400] {
            let data: Vec<u8> = (0..len).map(|i| (i * 37 + 11) as u8).collect();
            frames.push(Frame::udp(CLIENT, SERVER, options, &data));
            frames.push(Frame::tcp(options, [7, 9], 0x02, &[2, 4, 5, 0xb4]).with_data(&data));
        }
    }
    frames
}

#[test]
fn a_refused_client_is_told_by_the_gateway_with_the_code_configured() {
    for verdict in [
        Verdict::PortsExhausted,
        Verdict::TableFull,
        Verdict::SourceLimit,
        Verdict::ShareLimit,
        Verdict::ProtocolTaken,
    ] {
        let mut world = World::new();
        world.settings.refusal_code = 1;
        let frame = Frame::udp(CLIENT, SERVER, &[], b"data");
        let error = world.answer(frame.clone(), verdict, 0).expect("an answer");
        expect(&error, GATEWAY, [3, 1], &frame, 32);
        assert_eq!((world.sent.get(), world.held_back.get()), (1, 0));
    }
}

#[test]
fn an_error_quotes_as_much_as_fits_576_bytes() {
    for frame in about_every_kind_of_packet() {
        let error = World::new().answer(frame.clone(), Verdict::PortsExhausted, 0);
        let quoted = (frame.bytes.len() - 14) / 4 * 4;
        expect(
            &error.expect("an answer"),
            GATEWAY,
            [3, 13],
            &frame,
            quoted.min(548),
        );
    }
}

#[test]
fn an_error_about_a_packet_whose_checksum_is_yet_to_be_finished_has_a_right_one_itself() {
    for frame in about_every_kind_of_packet() {
        let world = World::new();
        let error = world.answer(frame.clone().unfinished(), Verdict::PortsExhausted, 0);
        let error = error.expect("an answer");
        error.expect_sound();
        let field = frame.transport() + if frame.bytes[23] == 6 { 16 } else { 6 };
        assert_eq!(error.bytes[42..28 + field], frame.bytes[14..field]);
    }
}

#[test]
fn a_finished_checksum_that_looks_unfinished_by_chance_is_told_apart() {
    for (mut frame, quoted) in [
        (Frame::udp(CLIENT, SERVER, &[], b"datadata"), 28),
        (Frame::tcp(&[], [7, 9], 0x02, &[2, 4, 5, 0xb4]), 36),
    ] {
        let field = frame.transport() + if frame.bytes[23] == 6 { 16 } else { 6 };
        let looks = frame.clone().unfinished();
        frame.bytes[field..field + 2].copy_from_slice(&looks.bytes[field..field + 2]);
        let error = World::new().answer(frame.clone(), Verdict::PortsExhausted, 0);
        expect(&error.expect("an answer"), GATEWAY, [3, 13], &frame, quoted);
    }
}

#[test]
fn of_a_protocol_that_may_have_another_checksum_only_eight_bytes_are_quoted() {
    let frame = Frame::ip(CLIENT, SERVER, 132, &[], &[1; 40]);
    let error = World::new().answer(frame.clone(), Verdict::ProtocolTaken, 0);
    expect(&error.expect("an answer"), GATEWAY, [3, 13], &frame, 28);
}

#[test]
fn outside_hears_of_a_used_up_ttl_from_the_external_address() {
    let frame = Frame::udp(SERVER, EXTERNAL, &[], b"probe");
    let error = World::new().answer(frame.clone(), Verdict::TtlExpired, 0);
    expect(&error.expect("an answer"), EXTERNAL, [11, 0], &frame, 32);
}

#[test]
fn outside_hears_how_large_a_packet_may_be() {
    let frame = Frame::udp(SERVER, EXTERNAL, &[], &[0; 1400]);
    let error = World::new()
        .answer(frame.clone(), Verdict::TooBig, 1300)
        .expect("an answer");
    expect(&error, EXTERNAL, [3, 4], &frame, 548);
    assert_eq!((error.be16(38), error.be16(40)), (0, 1300));
}

#[test]
fn a_packet_without_a_way_is_unreachable() {
    let frame = Frame::udp(CLIENT, SERVER, &[], b"data");
    let error = World::new().answer(frame.clone(), Verdict::Unreachable, 0);
    expect(&error.expect("an answer"), GATEWAY, [3, 1], &frame, 32);
}
