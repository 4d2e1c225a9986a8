//! When a packet may be translated without asking: flows that are fresh, routes that are current.

use std::{cell::UnsafeCell, ptr::NonNull};

use snat_common::{
    FlowEntry, FlowKey, FlowRef, Life, Protocol, Settings, State, flow::TIMED_STATES,
    fragment::Piece, life::needs_tracking, next_hop::generation, packet::OnWire, parse::Parsed,
    tcp,
};

fn asks(settings: &Settings, packet: &Parsed, life: Life, now: u32) -> bool {
    needs_tracking(settings, packet.key.protocol, packet.tcp_flags, life, now)
}

const TIMEOUT: u32 = 1000;

fn settings() -> Settings {
    Settings {
        timeouts: [TIMEOUT; TIMED_STATES],
        ..Settings::unset()
    }
}

fn life(state: State, last_seen: u32) -> Life {
    let entry = UnsafeCell::new(FlowEntry {
        last_seen,
        state,
        ..FlowEntry::EMPTY
    });
    let pointer = NonNull::new(entry.get()).expect("of a local");
    // SAFETY: `entry` outlives the reference, is aligned as its type is, and nothing else refers to it.
    unsafe { FlowRef::new(pointer) }.life()
}

fn packet(protocol: Protocol, tcp_flags: u8) -> Parsed {
    Parsed {
        key: FlowKey {
            src: [10, 1, 0, 2],
            dst: [192, 0, 2, 1],
            src_port: 1,
            dst_port: 2,
            protocol,
            number: 0,
            zero: [0; 2],
        },
        flaw: None,
        icmp_error: false,
        wire: OnWire {
            packets: 1,
            largest: 28,
        },
        transport: 34,
        headers: 28,
        ip_len: 28,
        piece: Piece {
            word: 0,
            id: 0,
            new_id: 0,
        },
        ip_protocol: protocol as u8,
        tos: 0,
        ttl: 64,
        dont_fragment: false,
        tcp_flags,
        ended: false,
        opens: false,
    }
}

#[test]
fn a_flow_is_fresh_up_to_its_timeout_also_when_the_clock_wraps() {
    let (settings, udp) = (settings(), packet(Protocol::Udp, 0));
    for seen in [0, 5000, u32::MAX, u32::MAX - 500] {
        let life = life(State::Udp, seen);
        let at = |age: u32| asks(&settings, &udp, life, seen.wrapping_add(age));
        assert!(!at(0) && !at(TIMEOUT), "last seen {seen}");
        assert!(at(TIMEOUT + 1) && at(u32::MAX / 2), "last seen {seen}");
    }
}

#[test]
fn a_dead_flow_is_never_fresh() {
    let life = life(State::Dead, 7);
    for protocol in [Protocol::Icmp, Protocol::Tcp, Protocol::Udp] {
        assert!(asks(&settings(), &packet(protocol, 0), life, 7));
    }
}

#[test]
fn a_segment_that_may_change_the_state_is_never_skipped() {
    let open = life(State::TcpEstablished, 7);
    for flags in [tcp::SYN, tcp::FIN, tcp::RST] {
        let segment = packet(Protocol::Tcp, flags | tcp::ACK);
        assert!(asks(&settings(), &segment, open, 7));
    }
    let data = packet(Protocol::Tcp, tcp::ACK);
    assert!(!asks(&settings(), &data, open, 7));
    for state in [State::TcpSynSent, State::TcpClosing, State::TcpReset] {
        assert!(asks(&settings(), &data, life(state, 7), 7));
    }
}

#[test]
fn routes_are_asked_for_anew_when_told_to_and_every_1024_ticks() {
    let settings = settings();
    let told = Settings {
        generation: 1,
        ..settings
    };
    for now in [0, 1023, 123_456, u32::MAX] {
        assert_ne!(generation(&settings, now), generation(&told, now));
        let later = now.wrapping_add(1024);
        assert_ne!(generation(&settings, now), generation(&settings, later));
    }
    assert_eq!(generation(&settings, 1024), generation(&settings, 2047));
}
