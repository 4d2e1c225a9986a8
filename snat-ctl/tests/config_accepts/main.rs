//! What a configuration means once it is accepted.

mod entries;
mod mutations;
mod routing;
mod sections;

use std::{path::Path, time::Duration};

use snat_common::{
    Protocol,
    settings::{protocols, resets},
};
use snat_ctl::config::{
    Answers, Config, Datapath, External, File, Filtering, Limits, Mapping, MssClamp, Ports,
    Refusal, Routing, Timeouts,
};

const SAMPLE: &str = include_str!("../../../dist/snat.toml");

/// The contract's sample.
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

[[forward]]
protocol = "tcp"
external = "203.0.113.10:8443"
internal = "172.16.1.5:443"

[timeouts]
tcp_established = "2h 4m"
udp = "5m"

[limits]
flows_per_source = 0

[metrics]
listen = "127.0.0.1:9469"

[[eni]]
match   = { name = "eth1" }
table   = 1001
gateway = "172.16.20.253"
default_metric = 200
"#;

fn parse(text: &str) -> Config {
    match Config::parse(text, Path::new("t.toml")) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

fn parse_file(text: &str) -> File {
    match File::parse(text, Path::new("t.toml")) {
        Ok(file) => file,
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
    let [forward] = config.forward.as_slice() else {
        panic!("one forward")
    };
    assert_eq!(forward.protocol, Protocol::Tcp);
    assert_eq!(forward.external, "203.0.113.10:8443".parse().unwrap());
    assert_eq!(forward.internal, "172.16.1.5:443".parse().unwrap());
    assert_eq!(forward.line, 19);
    assert_eq!(config.timeouts, Timeouts::default());
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.metrics, Some("127.0.0.1:9469".parse().unwrap()));
    assert_eq!(config.warnings, [] as [&str; 0]);
}

#[test]
fn the_shipped_sample_is_accepted_without_a_warning() {
    assert_eq!(parse(SAMPLE).warnings, [] as [&str; 0]);
}

#[test]
fn what_the_shipped_sample_comments_out_is_the_default() {
    let shown: String = SAMPLE
        .lines()
        .map(|line| uncommented(line) + "\n")
        .collect();
    let (shown, default) = (parse_file(&shown), parse_file(SAMPLE));
    assert_eq!(shown.warnings, [] as [&str; 0]);
    assert_eq!(default.routing, None);
    let routing = shown.routing.expect("policy routes");
    assert_eq!((routing.enis.len(), routing.rules.len()), (2, 1));
    let (enis, rules) = (Vec::new(), Vec::new());
    assert_eq!(
        Routing {
            enis,
            rules,
            ..routing
        },
        Routing::default()
    );
    let (shown, default) = (shown.gateway.unwrap(), default.gateway.unwrap());
    assert_eq!(shown.forward.len(), 1);
    // Off, unless their sections are there.
    assert!(shown.metrics.is_some() && shown.log.as_ref().is_some_and(|log| !log.destinations));
    assert_eq!((default.metrics, &default.log), (None, &None));
    let forward = default.forward.clone();
    let shown = Config {
        forward,
        metrics: None,
        log: None,
        ..shown
    };
    assert_eq!(shown, default);
}

/// A line without its `# `, if what is behind that is a key or a section.
fn uncommented(line: &str) -> String {
    let text = line.strip_prefix("# ").unwrap_or(line);
    let key = text.split_once(" = ").map_or("", |(key, _)| key);
    let is_key = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'6');
    let is_toml = is_key || text.starts_with('[');
    if is_toml { text } else { line }.to_owned()
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
        other,
        port_rest,
    } = config.timeouts;
    assert_eq!(
        (tcp_opening, tcp_established, tcp_closing),
        (minutes(4), minutes(124), minutes(4))
    );
    assert_eq!((udp, icmp), (minutes(5), minutes(1)));
    assert_eq!((other, port_rest), (minutes(10), minutes(2)));
    assert_eq!(config.snat[0].mapping, Mapping::Auto);
    assert_eq!(config.snat[0].filtering, Filtering::AddressAndPortDependent);
    assert_eq!(config.gateway.mss_clamp, MssClamp::Auto);
    assert_eq!(config.forward, []);
    let Limits {
        flows_per_source,
        new_flows_per_source,
        fragments_per_source,
        answers_per_second,
    } = config.limits;
    assert_eq!((flows_per_source, new_flows_per_source), (0, 0));
    assert_eq!((fragments_per_source, answers_per_second), (256, 1000));
    let Answers { refused, reset } = config.answers;
    assert_eq!(
        (refused, reset),
        (Refusal::AdminProhibited, resets::CLIENTS)
    );
    assert_eq!(
        config.protocols,
        protocols::UDP_LITE | protocols::SCTP | protocols::GRE | protocols::ESP
    );
}
