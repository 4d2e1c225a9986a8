//! External ports: who gets which, and what happens when there is none.

use std::collections::BTreeSet;

use snat_common::{State, Verdict};

use crate::{
    frames::{Endpoint, Frame},
    scene::server,
    world::{self, EXTERNAL, MANY, ONE_ARM, POOLED, PORT, PORTS, ROUTED, SERVER},
};

const WEB: Endpoint = (SERVER, 80);

#[test]
fn two_clients_with_the_same_port_get_different_ones_towards_the_same_server() {
    let mut host = world::host();
    let ports: BTreeSet<_> = MANY
        .into_iter()
        .map(|client| host.client(&Frame::udp((client, 5353), WEB)).port())
        .collect();
    assert_eq!(ports.len(), MANY.len());
}

#[test]
fn a_client_s_port_looks_the_same_to_every_destination() {
    let mut host = world::host();
    let client = (MANY[0], 5353);
    let ports: BTreeSet<_> = (1..20)
        .map(|nth| host.client(&Frame::udp(client, (server(nth), 53))).port())
        .collect();
    assert_eq!(ports.len(), 1);
}

#[test]
fn every_port_is_found_before_a_flow_is_refused() {
    let mut host = world::host();
    let ports: BTreeSet<_> = (0..PORTS)
        .map(|nth| host.client(&Frame::udp((MANY[0], 1000 + nth), WEB)).port())
        .collect();
    assert_eq!(ports, (40_000..40_000 + PORTS).collect());
    let entries = host.entries().len();
    let one_more = Frame::udp((MANY[1], 999), WEB);
    assert_eq!(host.client(&one_more).verdict, Verdict::PortsExhausted);
    assert_eq!(host.entries().len(), entries);
    let elsewhere = Frame::udp((MANY[1], 999), (server(2), 80));
    assert_eq!(host.client(&elsewhere).verdict, Verdict::TranslatedOut);
    let other_port = Frame::udp((MANY[1], 999), (SERVER, 81));
    assert_eq!(host.client(&other_port).verdict, Verdict::TranslatedOut);
    let other_protocol = Frame::tcp((MANY[1], 999), WEB, "S");
    assert_eq!(host.client(&other_protocol).verdict, Verdict::TranslatedOut);
}

#[test]
fn an_expired_flow_gives_its_port_to_another_client() {
    let mut host = world::host();
    let (first, second) = ((ROUTED, 1), (ONE_ARM, 2));
    assert_eq!(host.client(&Frame::udp(first, WEB)).port(), PORT);
    host.idle_and_grace(State::Udp);
    let sent = host.client(&Frame::udp(second, WEB));
    assert_eq!(
        (sent.verdict, sent.source()),
        (Verdict::TranslatedOut, (EXTERNAL, PORT))
    );
    assert_eq!(host.entries().len(), 2, "the old flow is gone whole");
    let back = Frame::udp(WEB, (EXTERNAL, PORT));
    let expected = back.clone().by_internet().translated_in(second);
    assert_eq!(host.internet(&back).bytes, expected.bytes());
}

#[test]
fn a_flow_that_lives_keeps_its_port() {
    let mut host = world::host();
    host.client(&Frame::udp((ROUTED, 1), WEB));
    let second = Frame::udp((ONE_ARM, 2), WEB);
    assert_eq!(host.client(&second).verdict, Verdict::PortsExhausted);
    host.idle(State::Udp);
    assert_eq!(host.client(&second).verdict, Verdict::PortsExhausted);
    let first = host.client(&Frame::udp((ROUTED, 1), WEB));
    assert_eq!(first.port(), PORT, "and is where it was");
}

#[test]
fn a_full_table_refuses_and_keeps_nothing_of_the_refused() {
    // No room at all, room for the claim but not for its other half, the same behind a flow.
    for (capacity, flows) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        let mut host = world::host();
        host.flows.capacity = capacity;
        let verdicts: Vec<_> = (0..3)
            .map(|nth| host.client(&Frame::udp((MANY[0], nth), WEB)).verdict)
            .collect();
        let mut expected = vec![Verdict::TranslatedOut; flows];
        expected.resize(3, Verdict::TableFull);
        assert_eq!(verdicts, expected, "room for {capacity}");
        assert_eq!(host.entries().len(), flows * 2, "room for {capacity}");
    }
}

#[test]
fn a_client_keeps_its_external_address_whatever_it_speaks() {
    let mut host = world::host();
    let addresses: BTreeSet<_> = [
        Frame::udp((POOLED, 1), WEB),
        Frame::udp((POOLED, 2), (server(2), 53)),
        Frame::tcp((POOLED, 3), WEB, "S"),
        Frame::ping(POOLED, server(3), 4),
    ]
    .iter()
    .map(|frame| host.client(frame).source().0)
    .collect();
    assert_eq!(addresses.len(), 1);
    let address = addresses.first().expect("one");
    assert!(
        (20..=22).contains(&address[3]),
        "{address:?} is of the pool"
    );
}

#[test]
fn clients_are_spread_over_the_pool() {
    let mut host = world::host();
    let addresses: BTreeSet<_> = (2..60)
        .map(|nth| {
            host.client(&Frame::udp(([10, 1, 9, nth], 1), WEB))
                .source()
                .0
        })
        .collect();
    assert_eq!(addresses.len(), 3);
}
