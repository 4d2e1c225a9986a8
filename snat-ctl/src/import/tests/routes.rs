//! What the host's routes say of rules.

use std::path::Path;

use super::{Given, Kind, Read, accounts, nft_table, post};
use crate::{
    config::Config,
    import::{Format, host::Here, read, translate::translate},
};

/// On a host with these routes, of which interfaces that begin with `wg` are none of Ethernet.
fn on(routes: &[(&str, &str)], rules: &str) -> Read {
    on_given(routes, rules, &Given::default())
}

fn on_given(routes: &[(&str, &str)], rules: &str, given: &Given) -> Read {
    let mut interfaces: Vec<_> = routes.iter().map(|(_, dev)| (*dev).to_owned()).collect();
    interfaces.retain(|dev| !dev.starts_with("wg"));
    interfaces.sort();
    interfaces.dedup();
    let routes = routes
        .iter()
        .map(|(net, dev)| (net.parse().unwrap(), (*dev).to_owned()));
    let here = Here {
        interfaces,
        routes: routes.collect(),
        addresses: Vec::new(),
    };
    let ruleset = read(rules, Format::Auto).unwrap();
    let imported = translate(ruleset, Some(&here), given, Vec::new());
    accounts(&imported);
    let text = imported.config.clone().unwrap();
    let config = Config::parse(&text, Path::new("snat.toml")).unwrap();
    Read { imported, config }
}

const MASQUERADE: &str = "-o eth0 -j MASQUERADE";

#[test]
fn clients_told_by_interface_are_those_that_it_leads_to() {
    let routes = [
        ("0.0.0.0/0", "eth0"),
        ("10.1.0.0/16", "lan1"),
        ("10.2.0.0/16", "lan2"),
    ];
    let rules = "iifname \"lan1\" oifname \"eth0\" snat to 203.0.113.11\n\
                 iifname \"lan2\" oifname \"eth0\" snat to 203.0.113.12";
    let both = on(&routes, &nft_table(rules, ""));
    assert_eq!(
        both.entries(),
        ["10.1.0.0/16 > 203.0.113.11", "10.2.0.0/16 > 203.0.113.12"]
    );
    assert_eq!(both.config.gateway.interfaces, ["eth0", "lan1", "lan2"]);
    let one = on(&routes, &nft_table("iifname \"lan1\" masquerade", ""));
    assert_eq!(one.entries(), ["10.1.0.0/16 > auto"]);
}

#[test]
fn a_tunnel_does_not_take_the_place_of_the_clients() {
    let one_arm = on(
        &[
            ("0.0.0.0/0", "eth0"),
            ("172.16.0.0/24", "eth0"),
            ("10.8.0.0/24", "wg0"),
        ],
        &post(MASQUERADE),
    );
    assert_eq!(one_arm.entries(), ["0.0.0.0/0 > auto"]);
    assert!(one_arm.notes(Kind::LeftOut).contains("come in by wg0"));

    let routed = [
        ("0.0.0.0/0", "eth0"),
        ("10.1.0.0/16", "eth1"),
        ("10.8.0.0/24", "wg0"),
    ];
    let routed = on(&routed, &post(MASQUERADE));
    assert_eq!(routed.entries(), ["10.1.0.0/16 > auto"]);
    let left_out = routed.notes(Kind::LeftOut);
    assert_eq!(left_out.matches("come in by wg0").count(), 1, "{left_out}");
}

#[test]
fn of_two_routes_the_longer_prefix_counts() {
    let routes = [
        ("0.0.0.0/0", "eth0"),
        ("10.0.0.0/24", "eth0"),
        ("10.0.1.0/24", "eth1"),
        ("10.0.0.0/8", "eth1"),
    ];
    let read = on(&routes, &post(MASQUERADE));
    let nets: Vec<_> = read.bypass();
    assert!(
        !nets.contains(&"10.0.0.0/8".to_owned()) && nets.contains(&"10.0.1.0/24".to_owned()),
        "{nets:?}"
    );
    let own: std::net::Ipv4Addr = "10.0.0.10".parse().unwrap();
    let holds = |nets: &[ipnet::Ipv4Net]| nets.iter().any(|net| net.contains(&own));
    assert!(!holds(&read.config.bypass[0].destination));
    assert!(!holds(&read.config.snat[0].source));
}

#[test]
fn tunnels_are_told_of_where_interfaces_are_given_too() {
    let routes = [
        ("0.0.0.0/0", "eth0"),
        ("10.0.0.0/8", "eth0"),
        ("10.8.0.0/24", "wg0"),
    ];
    let given = Given {
        interfaces: vec!["eth0".to_owned()],
        ..Given::default()
    };
    let rules = post("-s 10.0.0.0/8 -o eth0 -j MASQUERADE");
    let read = on_given(&routes, &rules, &given);
    assert!(read.notes(Kind::LeftOut).contains("come in by wg0"));
}
