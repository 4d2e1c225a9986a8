//! A flow's life: opened, answered, expired, revived, buried.

use snat_common::{FlowKey, Protocol, State, Verdict, life::GRACE};

use crate::{
    frames::{Endpoint, Frame},
    host::Host,
    scene::{in_key, key},
    world::{self, EXTERNAL, MANY, POOLED, PORT, ROUTED, SERVER},
};

const CLIENT: Endpoint = (ROUTED, 4321);
const WEB: Endpoint = (SERVER, 80);
const OUTSIDE: Endpoint = (EXTERNAL, PORT);

fn flow(protocol: Protocol) -> FlowKey {
    in_key(protocol, WEB, PORT)
}

fn out_key(protocol: Protocol) -> FlowKey {
    key(protocol, CLIENT, WEB)
}

/// A TCP connection whose handshake is done.
fn connected() -> Host {
    let mut host = world::host();
    host.client(&Frame::tcp(CLIENT, WEB, "S"));
    host.internet(&Frame::tcp(WEB, OUTSIDE, "SA"));
    host.client(&Frame::tcp(CLIENT, WEB, "A"));
    assert_eq!(
        host.state(&flow(Protocol::Tcp)),
        Some(State::TcpEstablished)
    );
    host
}

#[test]
fn a_datagram_opens_a_flow_and_its_answer_comes_back() {
    let mut host = world::host();
    let sent = host.client(&Frame::udp(CLIENT, WEB));
    assert_eq!(
        (sent.verdict, sent.source()),
        (Verdict::TranslatedOut, OUTSIDE)
    );
    let answer = Frame::udp(WEB, OUTSIDE);
    let back = host.internet(&answer);
    assert_eq!(back.verdict, Verdict::TranslatedIn);
    let expected = answer.by_internet().translated_in(CLIENT);
    assert_eq!(back.bytes, expected.bytes());
    assert_eq!(host.entries().len(), 2);
}

#[test]
fn each_direction_counts_its_own_packets_and_bytes() {
    let mut host = world::host();
    for _ in 0..3 {
        host.client(&Frame::udp(CLIENT, WEB));
    }
    host.internet(&Frame::udp(WEB, OUTSIDE).with(|f| f.payload = vec![0; 100]));
    for (key, entry) in host.entries() {
        let expected = if key == flow(Protocol::Udp) {
            (1, 128)
        } else {
            (3, 3 * 48)
        };
        assert_eq!((entry.packets, entry.bytes), expected, "{key:?}");
    }
}

#[test]
fn a_handshake_and_two_fins_walk_through_the_states() {
    let mut host = connected();
    let tcp = flow(Protocol::Tcp);
    host.internet(&Frame::tcp(WEB, OUTSIDE, "FA"));
    assert_eq!(host.state(&tcp), Some(State::TcpFinIn));
    host.client(&Frame::tcp(CLIENT, WEB, "FA"));
    assert_eq!(host.state(&tcp), Some(State::TcpClosing));
    host.internet(&Frame::tcp(WEB, OUTSIDE, "A"));
    assert_eq!(host.state(&tcp), Some(State::TcpClosing));
    for (_, entry) in host.entries() {
        assert_eq!(entry.state, State::TcpClosing, "both directions know");
    }
}

#[test]
fn a_flow_is_kept_alive_by_either_direction() {
    for answered in [false, true] {
        let mut host = connected();
        for _ in 0..3 {
            host.idle(State::TcpEstablished);
            if answered {
                host.internet(&Frame::tcp(WEB, OUTSIDE, "A"));
            } else {
                host.client(&Frame::tcp(CLIENT, WEB, "A"));
            }
        }
        let last = [
            host.client(&Frame::tcp(CLIENT, WEB, "A")).verdict,
            host.internet(&Frame::tcp(WEB, OUTSIDE, "A")).verdict,
        ];
        assert_eq!(last, [Verdict::TranslatedOut, Verdict::TranslatedIn]);
    }
}

#[test]
fn a_syn_revives_an_expired_connection_on_the_same_port() {
    let mut host = world::host();
    let client = (MANY[0], 4321);
    let port = host.client(&Frame::tcp(client, WEB, "S")).port();
    host.idle(State::TcpSynSent);
    host.later(1);
    assert_eq!(host.client(&Frame::tcp(client, WEB, "S")).port(), port);
    for (_, entry) in host.entries() {
        assert_eq!(entry.state, State::TcpSynSent);
        assert_eq!(entry.created, host.clock, "it is a new flow");
    }
    let packets: u64 = host.entries().iter().map(|(_, entry)| entry.packets).sum();
    assert_eq!(packets, 1, "counters begin anew");
}

#[test]
fn anything_else_on_an_expired_connection_has_no_flow() {
    for flags in ["A", "SA", "FA", "R", "PA"] {
        let mut host = connected();
        host.idle(State::TcpEstablished);
        host.later(1);
        let verdict = host.client(&Frame::tcp(CLIENT, WEB, flags)).verdict;
        assert_eq!(verdict, Verdict::TcpNoFlow, "{flags}");
    }
}

#[test]
fn datagrams_and_pings_revive_their_flow() {
    let mut host = world::host();
    let client = (MANY[0], 4321);
    let port = host.client(&Frame::udp(client, WEB)).port();
    let ping = Frame::ping(MANY[0], SERVER, 77);
    let first = host.client(&ping);
    host.idle(State::Udp);
    host.later(1);
    assert_eq!(host.client(&Frame::udp(client, WEB)).port(), port);
    let again = host.client(&ping);
    assert_eq!(again.verdict, Verdict::TranslatedOut);
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(host.entries().len(), 4);
}

#[test]
fn nobody_outside_can_revive_an_expired_flow() {
    let mut host = world::host();
    host.client(&Frame::udp(CLIENT, WEB));
    let external = host.client(&Frame::udp((POOLED, 9), WEB)).source();
    host.idle(State::Udp);
    host.later(1);
    let answers = [OUTSIDE, external].map(|outside| Frame::udp(WEB, outside));
    for answer in &answers {
        assert_eq!(host.internet(answer).verdict, Verdict::Filtered);
    }
    host.later(GRACE + 1);
    host.sweep();
    for answer in &answers {
        assert_eq!(host.internet(answer).verdict, Verdict::Unsolicited);
    }
}

#[test]
fn a_live_flow_is_not_buried_nor_one_in_its_grace() {
    let mut host = world::host();
    host.client(&Frame::udp(CLIENT, WEB));
    let udp = flow(Protocol::Udp);
    assert!(!host.bury(&udp, false), "fresh");
    host.idle(State::Udp);
    assert!(!host.bury(&udp, false), "at its timeout");
    host.later(GRACE);
    assert!(!host.bury(&udp, false), "at the end of its grace");
    assert_eq!(host.entries().len(), 2);
    host.later(1);
    assert!(host.bury(&udp, false), "behind its grace");
    assert_eq!(host.entries().len(), 0, "both directions are gone");
    assert!(!host.bury(&udp, false), "nothing is left to bury");
}

#[test]
fn a_flow_that_cannot_be_removed_now_is_removed_by_the_next_sweep() {
    for busy in [out_key(Protocol::Udp), flow(Protocol::Udp)] {
        let mut host = world::host();
        host.client(&Frame::udp(CLIENT, WEB));
        host.idle_and_grace(State::Udp);
        host.busy_bucket = Some(busy);
        assert!(!host.bury(&flow(Protocol::Udp), false));
        host.busy_bucket = None;
        assert!(host.bury(&flow(Protocol::Udp), false), "not left dead");
        assert_eq!(host.entries().len(), 0);
    }
}

#[test]
fn a_direction_that_was_used_keeps_the_other_from_being_buried() {
    for answered in [false, true] {
        let mut host = world::host();
        host.client(&Frame::udp(CLIENT, WEB));
        host.internet(&Frame::udp(WEB, OUTSIDE));
        host.idle(State::Udp);
        if answered {
            host.internet(&Frame::udp(WEB, OUTSIDE));
        } else {
            host.client(&Frame::udp(CLIENT, WEB));
        }
        host.later(GRACE + 1);
        assert!(!host.bury(&flow(Protocol::Udp), false));
        assert_eq!(host.entries().len(), 2);
    }
}

#[test]
fn only_the_in_entry_s_key_buries_and_force_buries_the_living() {
    let mut host = connected();
    host.idle_and_grace(State::TcpEstablished);
    assert!(!host.bury(&out_key(Protocol::Tcp), false));
    assert!(!host.bury(&out_key(Protocol::Tcp), true));
    let mut host = connected();
    assert!(host.bury(&flow(Protocol::Tcp), true));
    assert_eq!(host.entries().len(), 0);
}

#[test]
fn a_claim_left_without_its_other_half_is_buried_too() {
    let mut host = world::host();
    // Room for the claim alone; then it is as if its CPU had stopped there.
    host.client(&Frame::udp(CLIENT, WEB));
    host.forget(&out_key(Protocol::Udp));
    host.idle_and_grace(State::Udp);
    assert!(host.bury(&flow(Protocol::Udp), false));
    assert_eq!(host.entries().len(), 0);
}

#[test]
fn a_flow_that_is_being_removed_takes_no_packet() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut host = world::host();
        let frame = |src, dst| match protocol {
            Protocol::Tcp => Frame::tcp(src, dst, "S"),
            _ => Frame::udp(src, dst),
        };
        host.client(&frame(CLIENT, WEB));
        host.kill(&flow(protocol));
        let answer = host.internet(&frame(WEB, OUTSIDE));
        assert_eq!(answer.verdict, Verdict::FlowVanishing);
        assert!(!host.bury(&flow(protocol), true), "another one removes it");
    }
}
