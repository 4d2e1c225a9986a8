//! What the maps hold for a configuration.

use std::{net::Ipv4Addr, path::Path};

use snat_common::{
    Interface, Mapping, MappingKey, MappingKind, Protocol, State,
    settings::{Filtering, protocols, resets},
};

use super::{Desired, DesiredError, Host, desired};
use crate::config::Config;

const BEGIN: &str = "[gateway]\ninterfaces=['eth0','eth1']\n";
const ENTRY: &str = "[[snat]]\nsource=['10.0.0.0/8']\n";

fn host() -> Host {
    let interface = |ifindex, addr: [u8; 4]| Interface {
        ifindex,
        addr,
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
    };
    Host {
        interfaces: vec![
            interface(2, [192, 0, 2, 1]),
            interface(3, [192, 0, 2, 2]),
            interface(4, [0; 4]),
        ],
        auto_ports: (2000..2010).collect(),
    }
}

fn try_of(text: &str) -> Result<Desired, DesiredError> {
    let config = Config::parse(text, Path::new("t.toml")).expect("a valid configuration");
    desired(&config, &host())
}

fn of(text: &str) -> Desired {
    try_of(&format!("{BEGIN}{text}")).expect("fits the maps")
}

fn endpoint(addr: &str, port: u16) -> ([u8; 4], u16) {
    (addr.parse::<Ipv4Addr>().expect("an address").octets(), port)
}

fn key(kind: MappingKind, protocol: Protocol, (addr, port): ([u8; 4], u16)) -> MappingKey {
    MappingKey {
        addr,
        peer: [0; 4],
        port,
        protocol,
        kind,
    }
}

#[test]
fn each_external_address_knows_the_port_sets_of_its_entries() {
    let desired = of("[[snat]]\nsource=['10.0.0.0/8']\nports='1000-1001'\n\
         [[snat]]\nsource=['10.1.0.0/16']\nexternal=['192.0.2.1','192.0.2.9']\nports='3000'\n\
         [[snat]]\nsource=['10.2.0.0/16']\nexternal=['192.0.2.8']\nports='1000-1001'");
    assert_eq!(desired.port_sets, [vec![1000, 1001], vec![3000]]);
    let externals: Vec<_> = desired.externals.into_iter().collect();
    let wanted = [
        ([192, 0, 2, 1], 0b11),
        ([192, 0, 2, 2], 0b01),
        ([192, 0, 2, 8], 0b01),
        ([192, 0, 2, 9], 0b10),
    ];
    assert_eq!(externals, wanted);
}

#[test]
fn an_address_that_nobody_is_translated_to_has_no_port_set() {
    let desired = of("[[snat]]\nsource=['10.0.0.0/8']\nexternal=['192.0.2.9']\n\
         [[forward]]\nprotocol='tcp'\nexternal='192.0.2.7:1'\ninternal='10.0.0.1:1'");
    assert_eq!(desired.externals.get(&[192, 0, 2, 1]), Some(&0));
    assert_eq!(desired.externals.get(&[192, 0, 2, 7]), Some(&0));
    assert_eq!(desired.externals.get(&[192, 0, 2, 9]), Some(&1));
}

#[test]
fn a_forward_is_a_static_mapping_from_both_sides() {
    let desired = of(&format!(
        "{ENTRY}[[forward]]\nprotocol='udp'\nexternal='192.0.2.1:53'\ninternal='10.0.0.5:5353'"
    ));
    let (outside, inside) = (endpoint("192.0.2.1", 53), endpoint("10.0.0.5", 5353));
    let to = |(addr, port)| Mapping {
        held: 0,
        addr,
        port,
        filtering: Filtering::EndpointIndependent as u8,
        is_static: 1,
    };
    let wanted = [
        (key(MappingKind::Outer, Protocol::Udp, outside), to(inside)),
        (key(MappingKind::Inner, Protocol::Udp, inside), to(outside)),
    ];
    assert_eq!(desired.forwards, wanted.into());
}

#[test]
fn of_two_forwards_to_one_endpoint_the_first_is_what_it_goes_out_by() {
    let forward = |port| {
        format!(
            "[[forward]]\nprotocol='tcp'\nexternal='192.0.2.1:{port}'\ninternal='10.0.0.5:443'\n"
        )
    };
    let desired = of(&format!("{ENTRY}{}{}", forward(8443), forward(443)));
    assert_eq!(desired.forwards.len(), 3);
    let inner = key(MappingKind::Inner, Protocol::Tcp, endpoint("10.0.0.5", 443));
    assert_eq!(desired.forwards[&inner].port, 8443);
}

#[test]
fn forwarded_ports_are_in_no_port_set() {
    let forward =
        "[[forward]]\nprotocol='tcp'\nexternal='192.0.2.1:2003'\ninternal='10.0.0.5:443'\n";
    let desired = of(&format!("{ENTRY}{forward}"));
    assert_eq!(
        desired.port_sets,
        [[2000, 2001, 2002, 2004, 2005, 2006, 2007, 2008, 2009]]
    );
    let error =
        try_of(&format!("{BEGIN}{ENTRY}ports='2003'\n{forward}")).expect_err("no port left");
    assert_eq!(
        error.to_string(),
        "t.toml:3: snat.ports: every port is the external port of a [[forward]]; list more ports"
    );
}

#[test]
fn mapping_and_filtering_are_the_entrys_own() {
    let desired = of("[[snat]]\nsource=['10.0.0.0/8']\n\
         [[snat]]\nsource=['10.1.0.0/16']\nexternal=['192.0.2.8']\nmapping='endpoint-independent'\nfiltering='address-dependent'\n\
         [[snat]]\nsource=['10.2.0.0/16']\nmapping='address-and-port-dependent'\n\
         [[snat]]\nsource=['10.3.0.0/16']\nfiltering='endpoint-independent'");
    let entries = desired.entries.iter();
    let numbers: Vec<_> = entries
        .map(|entry| (entry.mapping, entry.filtering))
        .collect();
    assert_eq!(numbers, [(0, 0), (1, 1), (2, 0), (0, 2)]);
}

#[test]
fn settings_left_out_are_the_defaults_in_ticks() {
    let settings = of(ENTRY).settings;
    // 2^24 ns a tick, rounded up.
    let seconds = |seconds: u64| (seconds * 1_000_000_000).div_ceil(1 << 24) as u32;
    let timeout = |state| settings.timeouts[state as usize];
    assert_eq!(timeout(State::TcpSynSent), seconds(240));
    assert_eq!(timeout(State::TcpSynReceived), seconds(240));
    assert_eq!(timeout(State::TcpFinIn), seconds(7440));
    assert_eq!(timeout(State::TcpReset), seconds(240));
    assert_eq!(timeout(State::Other), seconds(600));
    assert_eq!(settings.port_rest, seconds(120));
    assert_eq!(settings.max_flows, 1_048_576);
    assert_eq!(settings.flows_per_source, 0);
    assert_eq!(settings.new_flows_per_source, 0);
    assert_eq!(settings.fragments_per_source, 256);
    assert_eq!(settings.answers_per_second, 1000);
    assert_eq!(settings.mss, 1);
    assert_eq!(settings.refusal_code, 13);
    assert_eq!(settings.resets, resets::CLIENTS);
    assert_eq!(
        settings.protocols,
        protocols::UDP_LITE | protocols::SCTP | protocols::GRE | protocols::ESP
    );
}

#[test]
fn each_tcp_state_has_the_timeout_of_its_phase() {
    let timeouts = of(&format!(
        "{ENTRY}[timeouts]\ntcp_opening='300s'\ntcp_established='9000s'\ntcp_closing='400s'"
    ))
    .settings
    .timeouts;
    for (phase, states) in [
        (300, &[State::TcpSynSent, State::TcpSynReceived][..]),
        // One side that has sent FIN waits for the other as long as before (RFC 6146 §3.5.2.2).
        (
            9000,
            &[State::TcpEstablished, State::TcpFinOut, State::TcpFinIn],
        ),
        (400, &[State::TcpClosing, State::TcpReset]),
    ] {
        let ticks = (phase * 1_000_000_000_u64).div_ceil(1 << 24) as u32;
        for state in states {
            assert_eq!(timeouts[*state as usize], ticks, "{state:?}");
        }
    }
}

#[test]
fn settings_are_what_the_configuration_says() {
    let text = "[gateway]\ninterfaces=['eth0']\nmax_flows=5000\nmss_clamp=1400\n\
                [[snat]]\nsource=['10.0.0.0/8']\n\
                [timeouts]\nother='335544320ns'\nport_rest='3m'\n\
                [limits]\nflows_per_source=100\nnew_flows_per_source=200\nfragments_per_source=3\n\
                answers_per_second=4\n\
                [answers]\nrefused='host-unreachable'\nreset=['servers','clients']\n\
                [protocols]\nudp_lite='drop'\nsctp='drop'\ngre='drop'\nesp='drop'\nothers='address-only'";
    let settings = try_of(text).expect("fits the maps").settings;
    assert_eq!(settings.timeouts[State::Other as usize], 20);
    assert_eq!(settings.port_rest, 10_729);
    assert_eq!(settings.max_flows, 5000);
    assert_eq!(settings.flows_per_source, 100);
    assert_eq!(settings.new_flows_per_source, 200);
    assert_eq!(settings.fragments_per_source, 3);
    assert_eq!(settings.answers_per_second, 4);
    assert_eq!(settings.mss, 1400);
    assert_eq!(settings.refusal_code, 1);
    assert_eq!(settings.resets, resets::CLIENTS | resets::SERVERS);
    assert_eq!(settings.protocols, protocols::OTHERS);

    let silent = "[answers]\nrefused='none'\nreset=[]";
    let settings = try_of(&format!(
        "[gateway]\ninterfaces=['eth0']\nmss_clamp='off'\n{ENTRY}{silent}"
    ))
    .expect("fits the maps")
    .settings;
    assert_eq!((settings.mss, settings.refusal_code), (0, 255));
    assert_eq!(settings.resets, 0);
}

#[test]
fn a_port_is_an_endpoints_own_for_all_entries_that_hand_it_out_or_for_none() {
    let second = |mapping, ports| {
        format!(
            "{BEGIN}{ENTRY}mapping='endpoint-independent'\nports='2000-2009'\n[[snat]]\nsource=['10.1.0.0/16']\n\
             external=['192.0.2.2']\nmapping='{mapping}'\nports='{ports}'\n"
        )
    };
    for (mapping, ports) in [("auto", "3000-3009"), ("endpoint-independent", "2005-2014")] {
        assert!(try_of(&second(mapping, ports)).is_ok(), "{mapping} {ports}");
    }
    for mapping in ["auto", "address-and-port-dependent"] {
        let refused = try_of(&second(mapping, "2009-2020")).expect_err("they share port 2009");
        let text = refused.to_string();
        assert!(
            text.contains("only one of the two is endpoint-independent"),
            "{text}"
        );
    }
}
