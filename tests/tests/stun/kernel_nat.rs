//! The judges judged: the kernel's own NAT, made into every kind that it can be, is found out as that. And
//! what conformance is about: its masquerade is one kind of NAT when it is fresh, and another after that.

use anyhow::{Result, ensure};
use snat_tests::{
    stun::{
        Filtering, Mapping,
        judge::{Judge, Running},
    },
    topology::{Shape, Topology},
};

use crate::{
    cases::Case,
    network,
    situations::{self, Question, Situation},
};

const CONE: (&str, Mapping) = ("one to one", Mapping::EndpointIndependent);

#[test]
fn the_judges_tell_the_kinds_of_nat_apart() -> Result<()> {
    let open = ("open", Filtering::EndpointIndependent);
    let by_address = ("by address", Filtering::AddressDependent);
    let by_port = ("by address and port", Filtering::AddressAndPortDependent);
    let random = ("fully random", Mapping::AddressAndPortDependent);
    let masquerade = ("masquerade", Mapping::EndpointIndependent);
    let cases = [
        Case::new(1, CONE, open),
        Case::new(2, CONE, by_address),
        Case::new(3, CONE, by_port),
        Case::new(4, random, by_port),
        Case::new(5, masquerade, by_port),
    ];
    let (topology, _server) = network(Shape::Routed, &cases)?;
    kernel_nat(&topology, &cases)?;

    let [kinds @ .., masquerade] = &cases;
    let ask = |situation| -> Result<Running> {
        let question = Question {
            case: masquerade,
            situation,
            judge: Judge::Coturn,
        };
        question.ask(&topology)
    };
    let fresh = ask(Situation::Fresh)?;
    let later =
        [Situation::PortHeld, Situation::Unsolicited].map(|situation| (situation, ask(situation)));
    situations::judged(&topology, kinds, &[Situation::Fresh])?;

    fresh.finds(masquerade.mapping, masquerade.filtering)?;
    for (situation, running) in later {
        let found = running?.finish()?;
        ensure!(
            !found.starts_with("Endpoint Independent Mapping"),
            "{situation:?}: {found:?} as before"
        );
    }
    Ok(())
}

fn kernel_nat(topology: &Topology, cases: &[Case; 5]) -> Result<()> {
    let [
        [a, outer_a],
        [b, outer_b],
        [c, outer_c],
        [d, outer_d],
        [e, outer_e],
    ] = cases.map(|case| [case.clients()[0], case.external()]);
    let other_e = cases[4].clients()[1];
    topology.gateway.netns.nft(&format!(
        "table ip nat {{
             set addresses {{ type ipv4_addr . inet_service . ipv4_addr; size 1000; flags dynamic; }}
             set endpoints {{ type ipv4_addr . inet_service . ipv4_addr . inet_service; size 1000; flags dynamic; }}
             chain in {{ type nat hook prerouting priority dstnat;
                 iifname eth0 dnat to ip daddr map {{ {outer_a} : {a}, {outer_b} : {b}, {outer_c} : {c} }};
             }}
             chain through {{ type filter hook forward priority filter;
                 iifname eth1 update @addresses {{ ip saddr . udp sport . ip daddr }}
                 iifname eth1 update @endpoints {{ ip saddr . udp sport . ip daddr . udp dport }}
                 iifname eth0 ip daddr {b} ip daddr . udp dport . ip saddr != @addresses drop
                 iifname eth0 ip daddr {c} ip daddr . udp dport . ip saddr . udp sport != @endpoints drop
             }}
             chain out {{ type nat hook postrouting priority srcnat;
                 oifname eth0 snat to ip saddr map {{ {a} : {outer_a}, {b} : {outer_b}, {c} : {outer_c} }};
                 oifname eth0 ip saddr {d} snat to {outer_d} fully-random
                 oifname eth0 ip saddr {{ {e}, {other_e} }} snat to {outer_e}
             }}
         }}"
    ))
}
