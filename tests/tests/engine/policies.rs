//! Who is translated at all; and for every verdict a packet that gets it.

use snat_common::{Addr, Verdict};

use crate::{
    frames::{Endpoint, Frame},
    host::Hook,
    scene::key,
    world::{
        self, BLACKHOLE, BYPASSED, EXTERNAL, INTERNAL, LAN, MANY, NARROW, ONE_ARM, PORT, ROUTED,
        SERVER, TUNNEL, UNMANAGED, WAN, mac,
    },
};

const CLIENT: Endpoint = (ROUTED, 4321);
const WEB: Endpoint = (SERVER, 80);
const OUTSIDE: Endpoint = (EXTERNAL, PORT);
const POOL: Endpoint = ([203, 0, 113, 20], 20_000);

/// A packet of the client's to any address.
fn to(dst: Addr) -> Frame {
    Frame::udp(CLIENT, (dst, 80)).by_client()
}

/// A packet that gets this verdict, and where it comes in.
///
/// `Err` says why there is none.
fn example(verdict: Verdict) -> Result<(u32, Frame), &'static str> {
    let from_client = |frame: Frame| Ok((LAN, frame.by_client()));
    let from_internet = |frame: Frame| Ok((WAN, frame.by_internet()));
    let large = |frame: &mut Frame| frame.payload = vec![0; 1400];
    match verdict {
        Verdict::NotIpv4 => Err("a frame of another kind: see the fixtures"),
        Verdict::NotOurs => from_internet(Frame::udp(WEB, (EXTERNAL, 22))),
        Verdict::Multicast => from_client(to([224, 0, 0, 251])),
        Verdict::Bypass => from_client(to(BYPASSED)),
        Verdict::NotForwarded => from_client(to(BLACKHOLE)),
        Verdict::TtlToStack => from_client(to(SERVER).with(|f| f.ip.time_to_live = 1)),
        Verdict::TooBigToStack => from_client(to(NARROW).with(large).with(|f| {
            f.ip.dont_fragment = true;
        })),
        Verdict::NeighbourToStack => Err("XDP leaves to TC what is not known to it"),
        Verdict::TranslatedOut => from_client(to(SERVER)),
        Verdict::TranslatedIn => from_internet(Frame::udp((SERVER, 81), OUTSIDE)),
        Verdict::MalformedIp => Err("a header that the library does not write: see the fixtures"),
        Verdict::MalformedTransport => from_client(Frame::raw(ROUTED, SERVER, 6)),
        Verdict::UnknownProtocol => from_client(Frame::raw(ROUTED, SERVER, 51)),
        Verdict::IcmpType => from_client(Frame::pong(ROUTED, SERVER, 1)),
        Verdict::TcpNoFlow => from_client(Frame::tcp(CLIENT, WEB, "A")),
        Verdict::SpoofedSource => from_client(Frame::udp((INTERNAL, 1), WEB)),
        Verdict::NoMapping => from_internet(Frame::udp(WEB, (POOL.0, 80))),
        Verdict::Unsolicited => from_internet(Frame::udp(WEB, POOL)),
        Verdict::StrayIn => from_internet(Frame::tcp(WEB, OUTSIDE, "A")),
        Verdict::Filtered => from_internet(Frame::udp((SERVER, 9), OUTSIDE)),
        Verdict::PortsExhausted => from_client(Frame::udp((ROUTED, 1), (SERVER, 81))),
        Verdict::TableFull => Err("a table without room: see `ports`"),
        Verdict::TtlExpired => {
            from_internet(Frame::udp((SERVER, 81), OUTSIDE).with(|f| f.ip.time_to_live = 1))
        }
        Verdict::Split => from_client(to(NARROW).with(large).with(|f| f.ip.dont_fragment = false)),
        Verdict::TooBig => from_internet(
            Frame::udp((SERVER, 81), OUTSIDE)
                .with(large)
                .with(|f| f.ip.dont_fragment = true),
        ),
        Verdict::Unreachable => from_client(to(TUNNEL)),
        Verdict::UnmanagedEgress => from_client(to(UNMANAGED)),
        Verdict::FlowVanishing => from_internet(Frame::udp((SERVER, 82), OUTSIDE)),
        Verdict::FlowEnded => from_internet(Frame::udp((SERVER, 83), OUTSIDE)),
        Verdict::Martian => from_client(to([127, 0, 0, 1])),
        Verdict::ProtocolTaken => from_client(Frame::raw(ROUTED, SERVER, 47)),
        Verdict::Hairpin => Err("the packet goes on: see the fixtures"),
        Verdict::SourceLimit | Verdict::SourceRate | Verdict::ShareLimit => {
            Err("the settings have no limit: see `limits`")
        }
        // 20 bytes of payload, which no first fragment can have.
        Verdict::FragmentInvalid => from_client(to(SERVER).with(|f| f.ip.more_fragments = true)),
        Verdict::FragmentHeld | Verdict::FragmentLimit => {
            Err("of other programs, with tests of their own")
        }
        Verdict::ErrorInvalid => {
            Err("a checksum that the library does not write: see the fixtures")
        }
        Verdict::LeftToKernel => Err("only while connections change hands: see tests/tests/adopt"),
        Verdict::LeakStopped => Err("of the program on the way out: see `leaks`"),
        Verdict::ErrorOut | Verdict::ErrorIn => Err("they quote a flow's packet: see the fixtures"),
        Verdict::RewriteFailed => {
            Err("memory can always be written to; the kernel may refuse for want of memory")
        }
    }
}

#[test]
fn every_verdict_has_a_packet_that_gets_it() {
    for verdict in Verdict::ALL {
        let Ok((ingress, frame)) = example(*verdict) else {
            continue;
        };
        let mut host = world::host();
        host.client(&Frame::raw(ONE_ARM, SERVER, 47));
        // The ports towards 81 are taken, and of a flow with 82 only half is left.
        host.client(&Frame::udp((ROUTED, 2), (SERVER, 81)));
        host.client(&Frame::udp((ROUTED, 2), (SERVER, 82)));
        host.kill(&key(snat_common::Protocol::Udp, (SERVER, 82), OUTSIDE));
        host.client(&Frame::udp((ROUTED, 2), (SERVER, 83)));
        let clock = host.clock;
        host.end(
            &key(snat_common::Protocol::Udp, (ROUTED, 2), (SERVER, 83)),
            clock,
        );
        let (outcome, bytes) = host.run(Hook::Xdp, ingress, &frame.bytes());
        assert_eq!(outcome.verdict, *verdict, "{frame:?}");
        if verdict.action() != snat_common::Action::Forward {
            assert_eq!(bytes, frame.bytes(), "{verdict:?} leaves it as it came");
        }
    }
}

#[test]
fn a_refused_packet_leaves_no_trace_in_the_table() {
    for verdict in Verdict::ALL {
        let Ok((ingress, frame)) = example(*verdict) else {
            continue;
        };
        let too_late = [Verdict::Split, Verdict::TooBig, Verdict::TooBigToStack];
        if verdict.action() == snat_common::Action::Forward || too_late.contains(verdict) {
            continue;
        }
        let mut host = world::host();
        host.run(Hook::Xdp, ingress, &frame.bytes());
        // These two are refused for what is there, and nothing is there.
        if ![Verdict::PortsExhausted, Verdict::ProtocolTaken].contains(verdict) {
            assert_eq!(host.entries().len(), 0, "{verdict:?}");
        }
    }
}

#[test]
fn the_longest_source_prefix_decides() {
    let mut host = world::host();
    let port =
        |host: &mut crate::host::Host, client| host.client(&Frame::udp((client, 1), WEB)).port();
    assert!((40_000..40_016).contains(&port(&mut host, MANY[0])));
    assert_eq!(port(&mut host, ROUTED), PORT);
    assert!((20_000..21_000).contains(&port(&mut host, world::POOLED)));
}

#[test]
fn broadcast_and_multicast_are_the_host_s() {
    for dst in [[224, 0, 0, 1], [239, 255, 255, 250], [255; 4]] {
        let seen = world::host().client(&to(dst));
        assert_eq!(seen.verdict, Verdict::Multicast, "{dst:?}");
    }
    let subnet = world::host().client(&to([198, 51, 100, 255]));
    assert_eq!(subnet.verdict, Verdict::NotForwarded);
}

#[test]
fn the_gateway_s_own_traffic_is_untouched() {
    let mut host = world::host();
    for frame in [
        Frame::tcp((SERVER, 40_000), (EXTERNAL, 22), "S"),
        Frame::tcp(WEB, (EXTERNAL, 33_000), "SA"),
        Frame::udp((SERVER, 53), (EXTERNAL, 33_001)),
        Frame::ping(SERVER, EXTERNAL, 7),
        Frame::raw(SERVER, EXTERNAL, 50),
    ] {
        let seen = host.internet(&frame);
        assert_eq!(seen.verdict, Verdict::NotOurs);
        assert_eq!(seen.bytes, frame.by_internet().bytes());
    }
    let ssh = host.client(&Frame::tcp((ROUTED, 1), (INTERNAL, 22), "S"));
    assert_eq!(ssh.verdict, Verdict::NotForwarded);
    let outside = host.client(&Frame::tcp((ROUTED, 1), (EXTERNAL, 22), "S"));
    assert_eq!(outside.verdict, Verdict::NotForwarded);
}

#[test]
fn frames_for_other_stations_are_not_ours() {
    let mut host = world::host();
    for station in [[0xff; 6], [2, 1, 1, 1, 1, 1]] {
        let frame = to(SERVER).with(|f| f.to = station);
        let (outcome, _) = host.run(Hook::Tc, LAN, &frame.bytes());
        assert_eq!(outcome.verdict, Verdict::NotOurs, "{station:?}");
    }
    assert_eq!(host.entries().len(), 0);
}

#[test]
fn an_echo_identifier_is_translated_and_back() {
    let mut host = world::host();
    let ping = Frame::ping(ROUTED, SERVER, 77).by_client();
    assert_eq!(
        host.client(&ping).bytes,
        ping.translated_out(OUTSIDE).bytes()
    );
    let pong = Frame::pong(SERVER, EXTERNAL, PORT).by_internet();
    let expected = pong.translated_in((ROUTED, 77)).bytes();
    assert_eq!(host.internet(&pong).bytes, expected);
    // A request from outside is no answer.
    let request = host.internet(&Frame::ping(SERVER, EXTERNAL, PORT));
    assert_eq!(request.verdict, Verdict::NotOurs);
}

#[test]
fn what_leaves_untranslated_is_a_leak_unless_it_may() {
    let host = world::host();
    let leaks = |src, dst| host.leaks(LAN, Frame::udp((src, 1), (dst, 2)).bytes());
    assert!(leaks(ROUTED, SERVER));
    assert!(!leaks(EXTERNAL, SERVER), "translated, or the host's own");
    assert!(!leaks(ROUTED, BYPASSED), "bypassed");
    assert!(!leaks(ROUTED, [224, 0, 0, 5]), "multicast");
    let own = Frame::udp((ROUTED, 1), (SERVER, 2)).bytes();
    assert!(!host.leaks(0, own), "what the host itself sends");
    assert!(!leaks(SERVER, ROUTED), "an answer");
    let arp = [&mac(ROUTED)[..], &mac(INTERNAL), &[8, 6], &[0; 46]].concat();
    assert!(!host.leaks(LAN, arp), "not IPv4");
}
