//! Flows that the configuration has ended: nobody passes, whoever speaks is told, and they go a short time later.

use snat_common::{FlowKey, Protocol, State, Verdict, life::GRACE};

use crate::{
    frames::{Endpoint, Frame},
    host::{Hook, Host},
    scene::{in_key, key},
    world::{self, EXTERNAL, LAN, PORT, ROUTED, SERVER, WAN},
};

const CLIENT: Endpoint = (ROUTED, 4321);
const WEB: Endpoint = (SERVER, 80);
const OUTSIDE: Endpoint = (EXTERNAL, PORT);

fn ended(first: &Frame, protocol: Protocol) -> (Host, FlowKey) {
    let mut host = world::host();
    host.client(first);
    let flow = key(protocol, CLIENT, WEB);
    let clock = host.clock;
    assert!(host.end(&flow, clock));
    (host, flow)
}

fn tcp(flags: &str) -> Frame {
    Frame::tcp(CLIENT, WEB, flags)
}

fn verdict(host: &mut Host, ingress: u32, frame: &Frame) -> Verdict {
    host.run(Hook::Xdp, ingress, &frame.bytes()).0.verdict
}

#[test]
fn segments_of_either_side_are_refused() {
    let (mut host, flow) = ended(&tcp("S"), Protocol::Tcp);
    let clock = host.clock;
    assert!(!host.end(&flow, clock), "it is ended already");
    let from_client = tcp("A").by_client();
    assert_eq!(verdict(&mut host, LAN, &from_client), Verdict::FlowEnded);
    let answer = Frame::tcp(WEB, OUTSIDE, "A").by_internet();
    assert_eq!(verdict(&mut host, WAN, &answer), Verdict::FlowEnded);
}

#[test]
fn a_client_that_may_open_a_flow_takes_its_place_at_once() {
    for (frame, protocol) in [
        (tcp("S"), Protocol::Tcp),
        (Frame::udp(CLIENT, WEB), Protocol::Udp),
    ] {
        let (mut host, _) = ended(&frame, protocol);
        host.client(&frame);
        let external = in_key(protocol, WEB, PORT);
        assert!(
            host.state(&external)
                .is_some_and(|state| state != State::Ended)
        );
        assert_eq!(host.entries().len(), 2);
    }
}

#[test]
fn who_is_no_client_any_more_opens_nothing_in_its_place() {
    let (mut host, _) = ended(&Frame::udp(CLIENT, WEB), Protocol::Udp);
    host.contents.sources.clear();
    let frame = Frame::udp(CLIENT, WEB).by_client();
    assert_eq!(verdict(&mut host, LAN, &frame), Verdict::FlowEnded);
}

#[test]
fn it_goes_after_a_minute_or_when_a_closed_one_would() {
    for (closing, stays) in [(100, 100), (1_000_000, 3576)] {
        let (mut host, _) = ended(&tcp("S"), Protocol::Tcp);
        host.contents.settings.timeouts[State::TcpClosing as usize] = closing;
        host.later(stays + GRACE);
        host.sweep();
        assert_eq!(host.entries().len(), 2, "{closing}");
        host.later(1);
        host.sweep();
        assert_eq!(host.entries().len(), 0, "{closing}");
    }
}

#[test]
fn what_was_opened_since_the_look_stays() {
    let mut host = world::host();
    host.client(&Frame::udp(CLIENT, WEB));
    let before = host.clock - 1;
    assert!(!host.end(&key(Protocol::Udp, CLIENT, WEB), before));
}
