//! Interfaces that share the default route: who leaves by which, and that it stays so.

use std::collections::HashMap;

use snat_common::{
    Addr, Verdict,
    settings::{Filtering, Mapping},
};
use snat_ctl::datapath::EniHint;

use crate::{
    fib::Target,
    frames::{Endpoint, Frame},
    host::{Host, Ports},
    scene::server,
    world::{
        self, EXTERNAL, MANY, NARROW, NARROW_MTU, NOT_BY_SECOND, ROUTED, SECOND_EXTERNAL, SERVER,
        UPSTREAM,
    },
};

const WEB: Endpoint = (SERVER, 80);
const CLIENTS: u16 = 10_000;

/// `wan` and `second` with these weights, and ports for everybody.
fn sharing(weights: [u16; 2], mapping: Mapping) -> Host {
    let mut host = world::host_with(|desired| desired.settings.max_flows = 1 << 20);
    for entry in &mut host.contents.entries {
        entry.mapping = mapping as u8;
    }
    host.contents.port_sets[0] = Ports::new((1024..65_000).collect());
    set_weights(&mut host, weights);
    host
}

fn set_weights(host: &mut Host, weights: [u16; 2]) {
    let hints: Vec<_> = world::shared()
        .into_iter()
        .zip(weights)
        .map(|(hint, weight)| EniHint { weight, ..hint })
        .collect();
    host.follow(world::read_of(&hints), vec![SECOND_EXTERNAL]);
}

/// The external address of a client's flow.
fn address(host: &mut Host, client: Endpoint, to: Endpoint) -> Addr {
    let seen = host.client(&Frame::udp(client, to));
    assert_eq!(seen.verdict, Verdict::TranslatedOut, "{client:?} {to:?}");
    seen.source().0
}

fn addresses(host: &mut Host) -> Vec<Addr> {
    (0..CLIENTS)
        .map(|nth| address(host, (MANY[0], 2000 + nth), WEB))
        .collect()
}

fn by_second(addresses: &[Addr]) -> usize {
    let second = addresses.iter().filter(|addr| **addr == SECOND_EXTERNAL);
    second.count()
}

#[test]
fn new_flows_are_shared_in_proportion_and_living_ones_stay() {
    for mapping in [Mapping::Auto, Mapping::AddressAndPortDependent] {
        let mut host = sharing([3, 1], mapping);
        let first = addresses(&mut host);
        let share = by_second(&first);
        assert!((2300..2700).contains(&share), "{share}, {mapping:?}");
        for weights in [[1, 3], [0, 1], [1, 0], [0, 0]] {
            set_weights(&mut host, weights);
            assert_eq!(addresses(&mut host), first, "{weights:?}, {mapping:?}");
        }
    }
}

#[test]
fn weights_hold_for_new_flows_from_then_on() {
    for (weights, least, most) in [
        ([1, 3], 7300, 7700),
        ([0, 1], 10_000, 10_000),
        // Nobody takes part: by the route that there is.
        ([1, 0], 0, 0),
        ([0, 0], 0, 0),
        ([1, u16::MAX], 9_990, 10_000),
    ] {
        let mut host = sharing([3, 1], Mapping::Auto);
        set_weights(&mut host, weights);
        let share = by_second(&addresses(&mut host));
        assert!((least..=most).contains(&share), "{share}, {weights:?}");
    }
}

#[test]
fn an_endpoint_with_a_port_of_its_own_has_one_address_towards_all() {
    let mut host = sharing([1, 1], Mapping::EndpointIndependent);
    let mut clients = HashMap::new();
    for weights in [[1, 1], [1, 9], [9, 1]] {
        set_weights(&mut host, weights);
        for (nth, port) in (0..200).zip(5000..) {
            let client = (MANY[nth % 3], port);
            let to = (server(1 + weights[0] as u8 + weights[1] as u8), 80);
            let addr = address(&mut host, client, to);
            assert_eq!(*clients.entry(client).or_insert(addr), addr, "{client:?}");
        }
    }
    assert!((60..140).contains(&by_second(&clients.into_values().collect::<Vec<_>>())));
}

#[test]
fn where_ports_depend_on_the_server_so_does_the_address() {
    let mut host = sharing([1, 1], Mapping::AddressAndPortDependent);
    let seen: Vec<_> = (1..200)
        .filter(|nth| server(*nth) != NOT_BY_SECOND)
        .filter(|nth| !(32..160).contains(nth))
        .map(|nth| address(&mut host, (MANY[0], 5000), (server(nth), 80)))
        .collect();
    let share = by_second(&seen);
    assert!((20..50).contains(&share), "{share} of {}", seen.len());
}

#[test]
fn what_another_route_decides_is_not_shared() {
    let mut host = sharing([0, 1], Mapping::Auto);
    assert_eq!(address(&mut host, (MANY[0], 1), WEB), SECOND_EXTERNAL);
    // A prefix of its own by the same router.
    assert_eq!(address(&mut host, (MANY[0], 2), (NARROW, 80)), EXTERNAL);
    // The router itself, on its link.
    assert_eq!(address(&mut host, (MANY[0], 3), (UPSTREAM, 80)), EXTERNAL);
    // An entry with an address of its own.
    assert_eq!(address(&mut host, (ROUTED, 4), WEB), EXTERNAL);
}

#[test]
fn an_interface_without_an_address_is_given_no_flow() {
    let mut host = sharing([0, 1], Mapping::Auto);
    host.contents.interfaces[2].addr = [0; 4];
    assert_eq!(address(&mut host, (MANY[0], 1), WEB), EXTERNAL);
}

#[test]
fn a_flow_never_leaves_by_another_interface_than_its_address_s() {
    let mut host = sharing([0, 1], Mapping::Auto);
    let frame = Frame::udp((MANY[0], 1), (NOT_BY_SECOND, 80));
    // The main table would have a way; to the stack it must not go either.
    assert_eq!(host.client(&frame).verdict, Verdict::Unreachable);
    let frame = Frame::udp((MANY[0], 2), WEB);
    assert_eq!(host.client(&frame).verdict, Verdict::TranslatedOut);
    let routes = std::mem::take(&mut host.fib.by_source[0].1);
    host.fib.by_source[0].1 = vec![([0; 4], 0, Target::Stays)];
    set_weights(&mut host, [1, 0]);
    assert_eq!(host.client(&frame).verdict, Verdict::Unreachable);
    host.fib.by_source[0].1 = routes;
    set_weights(&mut host, [0, 1]);
    let seen = host.client(&frame);
    assert_eq!(
        (seen.verdict, seen.source().0),
        (Verdict::TranslatedOut, SECOND_EXTERNAL)
    );
}

#[test]
fn a_flow_by_an_interface_goes_on_without_any_other_route() {
    let mut host = sharing([0, 1], Mapping::Auto);
    let frame = Frame::udp((MANY[0], 1), WEB);
    host.client(&frame);
    host.fib.routes.retain(|(_, len, _)| *len != 0);
    set_weights(&mut host, [0, 1]);
    assert_eq!(host.client(&frame).verdict, Verdict::TranslatedOut);
}

#[test]
fn a_packet_too_large_for_its_interface_is_told_about_by_us() {
    let mut host = sharing([0, 1], Mapping::Auto);
    let target = &mut host.fib.by_source[0].1[0].2;
    if let Target::Send { mtu, .. } = target {
        *mtu = NARROW_MTU;
    }
    let frame = Frame::udp((MANY[0], 1), WEB);
    assert_eq!(host.client(&frame).verdict, Verdict::TranslatedOut);
    let large = frame.with(|f| f.payload = vec![7; usize::from(NARROW_MTU)]);
    // The stack would find that it fits the other interface.
    assert_eq!(host.client(&large).verdict, Verdict::TooBig);
}

#[test]
fn who_is_let_in_by_an_interface_is_answered_by_it() {
    let mut host = sharing([0, 1], Mapping::Auto);
    host.contents.entries[0].filtering = Filtering::EndpointIndependent as u8;
    let (client, stranger): (Endpoint, Endpoint) = ((MANY[0], 5000), ([8, 8, 8, 8], 9));
    let own = host.client(&Frame::udp(client, WEB)).source();
    set_weights(&mut host, [1, 0]);
    let asked = host.internet(&Frame::udp(stranger, own));
    assert_eq!(asked.verdict, Verdict::TranslatedIn);
    let answer = Frame::udp(client, stranger).by_client();
    let seen = host.client(&answer);
    assert_eq!(seen.bytes, answer.translated_out(own).bytes());
}
