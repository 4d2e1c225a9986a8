//! What a configuration means once it is accepted.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use proptest::prelude::*;
use snat_ctl::config::{Config, Datapath, External, Filtering, Mapping, Ports, Timeouts};

const SAMPLE: &str = include_str!("../../dist/snat.toml");

/// The contract's sample, without the sections that later issues build.
const CONTRACT: &str = r#"
[gateway]
name       = "default"
interfaces = ["eth0"]
datapath   = "auto"
max_flows  = 1_048_576

[[snat]]
name      = "private"
source    = ["172.16.0.0/16"]
external  = ["auto"]
ports     = "auto"
mapping   = "auto"
filtering = "address-and-port-dependent"

[[bypass]]
destination = ["172.16.0.0/12"]

[timeouts]
tcp_established = "2h 4m"
udp = "5m"

[limits]
flows_per_source = 0
"#;

fn parse(text: &str) -> Config {
    match Config::parse(text, Path::new("t.toml")) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

fn with_entry(entry: &str) -> Config {
    parse(&format!(
        "[gateway]\ninterfaces=['eth0']\n[[snat]]\nsource=['10.0.0.0/8']\n{entry}"
    ))
}

#[test]
fn the_contracts_sample_means_what_it_says() {
    let config = parse(CONTRACT);
    assert_eq!(config.gateway.name, "default");
    assert_eq!(config.gateway.interfaces, ["eth0"]);
    assert_eq!(config.gateway.interfaces_line, 4);
    assert_eq!(config.gateway.datapath, Datapath::Auto);
    assert_eq!(config.gateway.max_flows, 1_048_576);
    let [snat] = config.snat.as_slice() else {
        panic!("one entry")
    };
    assert_eq!(snat.name, "private");
    assert_eq!(snat.source, ["172.16.0.0/16".parse().unwrap()]);
    assert_eq!(snat.external, [External::Auto]);
    assert_eq!(snat.ports, Ports::Auto);
    assert_eq!(snat.mapping, Mapping::Auto);
    assert_eq!(snat.filtering, Filtering::AddressAndPortDependent);
    assert_eq!(snat.line, 8);
    let [bypass] = config.bypass.as_slice() else {
        panic!("one bypass")
    };
    assert_eq!(bypass.destination, ["172.16.0.0/12".parse().unwrap()]);
    assert_eq!(bypass.line, 16);
    assert_eq!(config.timeouts, Timeouts::default());
    assert_eq!(config.warnings, [] as [&str; 0]);
}

#[test]
fn the_shipped_sample_is_accepted_without_a_warning() {
    assert_eq!(parse(SAMPLE).warnings, [] as [&str; 0]);
}

#[test]
fn defaults_are_the_contracts() {
    let config = with_entry("");
    assert_eq!(config.gateway.name, "default");
    assert_eq!(config.gateway.datapath, Datapath::Auto);
    assert_eq!(config.gateway.max_flows, 1_048_576);
    assert_eq!(config.snat[0].name, "snat-1");
    assert_eq!(config.snat[0].external, [External::Auto]);
    assert_eq!(config.snat[0].ports, Ports::Auto);
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let Timeouts {
        tcp_opening,
        tcp_established,
        tcp_closing,
        udp,
        icmp,
    } = config.timeouts;
    assert_eq!(
        (tcp_opening, tcp_established, tcp_closing),
        (minutes(4), minutes(124), minutes(4))
    );
    assert_eq!((udp, icmp), (minutes(5), minutes(1)));
}

#[test]
fn external_ranges_are_all_their_addresses() {
    let config = with_entry("external=['203.0.113.9', '203.0.113.254-203.0.114.1']");
    let addr = |c, d| External::Addr(Ipv4Addr::new(203, 0, c, d));
    let wanted = [
        addr(113, 9),
        addr(113, 254),
        addr(113, 255),
        addr(114, 0),
        addr(114, 1),
    ];
    assert_eq!(config.snat[0].external, wanted);
}

#[test]
fn ports_take_a_range_a_comma_list_or_a_list_and_come_out_sorted() {
    let cases = [
        ("'1024-65535'", vec![1024..=65535]),
        ("'4096-8191, 1024-2047'", vec![1024..=2047, 4096..=8191]),
        ("['4096-8191', '1024-2047']", vec![1024..=2047, 4096..=8191]),
        ("[5001, '5000']", vec![5000..=5000, 5001..=5001]),
        ("'1-1'", vec![1..=1]),
    ];
    for (text, ranges) in cases {
        let config = with_entry(&format!("ports={text}"));
        assert_eq!(config.snat[0].ports, Ports::Ranges(ranges), "{text}");
    }
}

#[test]
fn nested_prefixes_and_shared_external_addresses_are_nobodys_mistake() {
    let config = parse(
        "[gateway]\ninterfaces=['eth0']\n\
         [[snat]]\nsource=['10.0.0.0/8']\nexternal=['10.0.0.1']\nports='1024-2000'\n\
         [[snat]]\nsource=['10.1.0.0/16']\nexternal=['10.0.0.1']\nports='1500-3000'",
    );
    assert_eq!(config.warnings, [] as [&str; 0]);
    assert_eq!(config.snat[1].name, "snat-2");
}

#[test]
fn a_timeout_below_the_rfcs_floor_is_kept_and_warned_about() {
    let config = with_entry("[timeouts]\nudp='30s'\ntcp_established='1h'\nicmp='60s'");
    assert_eq!(config.timeouts.udp, Duration::from_secs(30));
    let wanted = [
        "t.toml:6: timeouts.udp: 30s is less than the 2m of RFC 4787, requirement 5: idle flows \
         may break",
        "t.toml:7: timeouts.tcp_established: 1h is less than the 2h 4m of RFC 5382, requirement \
         5: idle flows may break",
    ];
    assert_eq!(config.warnings, wanted);
}

#[test]
fn prefixes_that_take_everything_are_kept_and_warned_about() {
    let text = "[gateway]\ninterfaces=['eth0']\n[[snat]]\nsource=['0.0.0.0/0']\n\
                [[bypass]]\ndestination=['0.0.0.0/0']";
    let wanted = [
        "t.toml:4: snat[1].source[1]: every source but the host's own is translated",
        "t.toml:6: bypass[1].destination[1]: everything is bypassed: nothing is translated",
    ];
    assert_eq!(parse(text).warnings, wanted);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_are_accepted_or_refused_but_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..24_usize, ".{1,6}"), 1..6)
    ) {
        let mut text: Vec<char> = CONTRACT.chars().collect();
        for (from, length, new) in edits {
            let from = from.index(text.len());
            let to = text.len().min(from + length);
            text.splice(from..to, new.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = Config::parse(&text, Path::new("t.toml")) {
            prop_assert!(error.to_string().starts_with("t.toml:"), "{error}");
        }
    }

    #[test]
    fn exchanged_values_are_accepted_or_refused_but_never_panic(
        keys in prop::collection::vec((key(), value()), 0..12)
    ) {
        let text: String = keys.iter().map(|(key, value)| format!("{key}{value}\n")).collect();
        if let Err(error) = Config::parse(&text, Path::new("t.toml")) {
            prop_assert!(error.to_string().starts_with("t.toml:"), "{error}");
        }
    }
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "[gateway]\ninterfaces=",
        "name=",
        "[[snat]]\nsource=",
        "external=",
        "ports=",
        "mapping=",
        "[[bypass]]\ndestination=",
        "[timeouts]\nudp=",
        "[limits]\nflows_per_source=",
        "[metrics]\nlisten=",
        "[[eni]]\nmatch=",
        "table=",
        "[[forward]]\nexternal=",
    ])
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "''",
        "'auto'",
        "['eth0']",
        "[]",
        "[[]]",
        "{}",
        "0",
        "-1",
        "99999999999999999999",
        "0x10",
        "1.5",
        "nan",
        "true",
        "1979-05-27",
        "'0.0.0.0/0'",
        "['10.0.0.0/33']",
        "['10.0.0.1-9.9.9.9']",
        "['0.0.0.0-255.255.255.255']",
        "'-'",
        "','",
        "'1-2-3'",
        "[1, 'x', {}]",
        "'9'",
        "'999y'",
        "'5m'",
        "{ name = 'eth1' }",
        "'\u{20ac}'",
    ])
}
