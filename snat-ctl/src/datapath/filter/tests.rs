use std::{net::Ipv4Addr, time::Duration};

use super::{
    super::raw::{RawEntry, RawKey},
    Filter, Flow,
};

#[test]
fn a_flow_must_be_all_that_is_asked_and_of_several_values_any() {
    let flow = flow();
    for (text, matches) in [
        ("", true),
        ("source=172.16.4.9", true),
        (
            "source=172.16.4.0/24 destination=198.51.100.7 port=443 protocol=tcp",
            true,
        ),
        ("source=172.16.5.0/24,172.16.4.8/31", true),
        ("source=172.16.4.8", false),
        ("destination=172.16.4.9", false),
        ("external=203.0.113.0/24 external-port=20000", true),
        ("external=198.51.100.7", false),
        ("port=80,443", true),
        ("port=40000", false),
        ("source-port=40000", true),
        ("source-port=443", false),
        ("protocol=udp,tcp", true),
        ("protocol=6", true),
        ("protocol=17", false),
        ("state=established,closing", true),
        ("state=syn_sent", false),
        ("eni=eth1", true),
        ("eni=eth0", false),
        ("min-age=10s", true),
        ("min-age=11s", false),
        ("max-age=10s", true),
        ("max-age=9s", false),
        ("min-idle=2s", true),
        ("min-idle=3s", false),
        ("min-rate=1Mbit", true),
        ("min-rate=125kB", true),
        ("min-rate=126kB", false),
        ("source=172.16.4.9 port=80", false),
    ] {
        let filter: Filter = text.parse().expect(text);
        assert_eq!(filter.matches(&flow), matches, "{text:?}");
        assert!(!matches || filter.admits(&flow), "{text:?}");
    }
}

#[test]
fn what_only_the_servers_packets_can_tell_does_not_keep_a_flow_from_being_looked_at() {
    let mut flow = flow();
    flow.state = "syn_sent";
    let filter: Filter = "state=established min-rate=1Gbit eni=eth9"
        .parse()
        .unwrap_or_default();
    assert!(!filter.is_empty());
    assert!(filter.admits(&flow));
    assert!(!filter.matches(&flow));
}

#[test]
fn a_rate_that_was_not_measured_is_no_matter() {
    let mut flow = flow();
    flow.bits_per_second = None;
    let filter: Filter = "min-rate=1Gbit".parse().unwrap_or_default();
    assert!(filter.min_rate.is_some() && filter.matches(&flow));
}

#[test]
fn what_is_wrong_in_a_text_is_told_with_what_is_accepted() {
    for (text, said) in [
        ("172.16.4.9", "not of the form word=value"),
        (
            "src=172.16.4.9",
            "no filter \"src\"; there are source, destination",
        ),
        (
            "source=172.16.4.300",
            "source=172.16.4.300: not an IPv4 address or prefix",
        ),
        ("source=172.16.4.9/16", "172.16.0.0/16 is the network"),
        ("source=10.0.0.1,x", "source=x: "),
        ("port=65536", "from 0 to 65535"),
        ("port=https", "from 0 to 65535"),
        (
            "protocol=tpc",
            "icmp, tcp, udp, udp_lite, sctp, gre, esp, or a number",
        ),
        ("state=ESTABLISHED", "syn_sent, established"),
        ("min-age=soon", "not a time, as 30s"),
        ("min-rate=10", "a number and bits or bytes a second"),
        ("min-rate=10Mb", "a number and bits or bytes a second"),
        ("min-rate=-1B", "a number and bits or bytes a second"),
    ] {
        let error = text.parse::<Filter>().map(drop).expect_err(text);
        assert!(error.to_string().contains(said), "{text}: {error}");
    }
}

#[test]
fn the_options_and_the_text_have_the_same_words() {
    let command = clap::Command::new("x");
    let command = <Filter as clap::Args>::augment_args(command);
    let options: Vec<_> = command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .collect();
    assert_eq!(options, super::WORDS);
    for word in super::WORDS {
        let unknown = super::FilterError::Unknown { word: word.into() };
        let told = Filter::default().set(word, "");
        assert_ne!(told, Err(unknown), "{word}");
    }
}

/// 10 s old, idle for 2 s, with 1 Mbit/s.
fn flow() -> Flow {
    let key = RawKey::of(&[0; RawKey::LEN]).expect("a key");
    let entry = RawEntry::of(&[0; RawEntry::LEN]).expect("an entry");
    Flow {
        protocol: "tcp".into(),
        client: Ipv4Addr::new(172, 16, 4, 9),
        client_port: 40_000,
        external: Ipv4Addr::new(203, 0, 113, 10),
        external_port: 20_000,
        server: Ipv4Addr::new(198, 51, 100, 7),
        server_port: 443,
        state: "established",
        age_seconds: Duration::from_secs(10).as_secs_f64(),
        idle_seconds: 2.0,
        eni: Some("eth1".into()),
        bits_per_second: Some(1e6),
        ..Flow::outward(key, &entry, None, 0)
    }
}
