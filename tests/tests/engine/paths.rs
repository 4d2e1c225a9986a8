//! TTL, size and next hop: what may go on, and what the stack or nobody gets instead.

use snat_common::Verdict;

use crate::{
    frames::{Endpoint, Frame},
    host::Hook,
    world::{
        self, EXTERNAL, LAN, LAN_MTU, LOST, MANY, NARROW, NARROW_MTU, NO_NEIGHBOUR, PORT, ROUTED,
        SERVER, SILENT, WAN, mac,
    },
};

const CLIENT: Endpoint = (ROUTED, 4321);
const WEB: Endpoint = (SERVER, 80);
const OUTSIDE: Endpoint = (EXTERNAL, PORT);

#[test]
fn the_last_hop_of_a_client_s_packet_is_the_stack_which_tells_it() {
    for flow_is_there in [false, true] {
        for (ttl, verdict) in [
            (0, Verdict::TtlToStack),
            (1, Verdict::TtlToStack),
            (2, Verdict::TranslatedOut),
        ] {
            let mut host = world::host();
            if flow_is_there {
                host.client(&Frame::udp(CLIENT, WEB));
            }
            let frame = Frame::udp(CLIENT, WEB).with(|f| f.ip.time_to_live = ttl);
            let seen = host.client(&frame);
            assert_eq!(seen.verdict, verdict, "{ttl}");
            if verdict == Verdict::TtlToStack {
                assert_eq!(seen.bytes, frame.by_client().bytes(), "as it came");
            } else {
                assert_eq!(seen.bytes[22], 1);
            }
        }
    }
}

#[test]
fn the_last_hop_of_an_answer_is_here() {
    for (ttl, verdict) in [
        (0, Verdict::TtlExpired),
        (1, Verdict::TtlExpired),
        (2, Verdict::TranslatedIn),
    ] {
        let mut host = world::host();
        host.client(&Frame::udp(CLIENT, WEB));
        let frame = Frame::udp(WEB, OUTSIDE).with(|f| f.ip.time_to_live = ttl);
        assert_eq!(host.internet(&frame).verdict, verdict, "{ttl}");
    }
}

/// A datagram whose IP packet has this size.
fn sized(frame: Frame, size: u16, dont_fragment: bool) -> Frame {
    frame.with(|f| {
        f.payload = vec![7; usize::from(size) - 28];
        f.ip.dont_fragment = dont_fragment;
    })
}

#[test]
fn a_client_s_packet_larger_than_the_path_is_answered_or_cut_up() {
    for (server, mtu) in [(SERVER, 1500), (NARROW, NARROW_MTU)] {
        for (size, dont_fragment, verdict) in [
            (mtu, true, Verdict::TranslatedOut),
            (mtu, false, Verdict::TranslatedOut),
            (mtu + 1, true, Verdict::TooBigToStack),
            (mtu + 1, false, Verdict::Split),
        ] {
            let mut host = world::host();
            let frame = sized(Frame::udp(CLIENT, (server, 80)), size, dont_fragment);
            for time in ["first", "second"] {
                let seen = host.client(&frame);
                assert_eq!(
                    seen.verdict, verdict,
                    "{time} of {size}, DF {dont_fragment}"
                );
            }
        }
    }
}

#[test]
fn an_answer_larger_than_the_way_to_the_client_is_refused_or_cut_up() {
    for dont_fragment in [false, true] {
        let mut host = world::host();
        host.client(&Frame::udp(CLIENT, WEB));
        let answer = |size| sized(Frame::udp(WEB, OUTSIDE), size, dont_fragment);
        let fits = host.internet(&answer(LAN_MTU));
        assert_eq!(fits.verdict, Verdict::TranslatedIn);
        let larger = host.internet(&answer(LAN_MTU + 1));
        let expected = if dont_fragment {
            Verdict::TooBig
        } else {
            Verdict::Split
        };
        assert_eq!(larger.verdict, expected);
    }
}

#[test]
fn without_a_neighbour_xdp_hands_on_and_tc_lets_the_kernel_ask() {
    let mut host = world::host();
    let frame = Frame::udp(CLIENT, (NO_NEIGHBOUR, 80)).by_client();
    for _ in ["the first", "one of a flow"] {
        let (outcome, _) = host.run(Hook::Xdp, LAN, &frame.bytes());
        assert_eq!(
            (outcome.verdict, host.finished_by),
            (Verdict::TranslatedOut, Hook::Tc)
        );
    }
    let (outcome, bytes) = host.run(Hook::Tc, LAN, &frame.bytes());
    assert_eq!(
        (outcome.hop.ifindex, outcome.hop.unresolved),
        (WAN, [198, 51, 100, 77])
    );
    let expected = frame.translated_out(OUTSIDE).with(|f| {
        // Who it goes to is for the kernel to find out.
        (f.from, f.to) = (mac(ROUTED), mac(world::INTERNAL));
    });
    assert_eq!(bytes, expected.bytes());
}

#[test]
fn an_answer_to_a_client_without_a_neighbour_is_resolved_too() {
    let mut host = world::host();
    host.client(&Frame::udp((SILENT, 1), WEB));
    let answer = Frame::udp(WEB, OUTSIDE).by_internet().bytes();
    let (outcome, _) = host.run(Hook::Xdp, WAN, &answer);
    assert_eq!(
        (outcome.verdict, host.finished_by),
        (Verdict::TranslatedIn, Hook::Tc)
    );
    assert_eq!((outcome.hop.ifindex, outcome.hop.unresolved), (LAN, SILENT));
}

#[test]
fn an_answer_to_a_client_that_cannot_be_reached_never_meets_the_stack() {
    let mut host = world::host();
    let sent = host.client(&Frame::udp((LOST, 1), WEB));
    let answer = Frame::udp(WEB, (EXTERNAL, sent.port()));
    assert_eq!(host.internet(&answer).verdict, Verdict::Unreachable);
}

#[test]
fn a_new_route_is_taken_when_the_generation_says_so_and_in_time_without() {
    for told in [true, false] {
        let mut host = world::host();
        let frame = Frame::udp((MANY[0], 1), WEB);
        host.client(&frame);
        let moved = [2, 9, 9, 9, 9, 9];
        for (_, addr, mac) in &mut host.fib.neighbours {
            if *addr == world::UPSTREAM {
                *mac = moved;
            }
        }
        assert_ne!(
            host.client(&frame).bytes[..6],
            moved,
            "the flow keeps its route"
        );
        if told {
            host.contents.settings.generation += 1;
        } else {
            host.later(1024);
        }
        assert_eq!(host.client(&frame).bytes[..6], moved);
    }
}
