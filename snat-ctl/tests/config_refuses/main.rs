//! Every way to get a configuration wrong, and the exact words for it.

mod access_rules;
mod bypass_and_timeouts;
mod entries;
mod forwards;
mod gateway;
mod limits_and_answers;
mod metrics;
mod routing;
mod routing_together;

use std::path::Path;

use snat_ctl::config::{Config, ConfigError, File};

const GATEWAY: &str = "[gateway]\ninterfaces = ['eth0']\n";
const NETS: &str = "accepted: prefixes such as \"10.8.0.0/16\" and \"2001:db8::/32\"";
const ENTRY: &str = "[[snat]]\nsource = ['10.0.0.0/8']\n";

/// The complaints about a text that a gateway is wanted from, without the `t.toml:` before each.
fn complaints(text: &str) -> Vec<String> {
    lines(Config::parse(text, Path::new("t.toml")).err())
}

fn lines(error: Option<ConfigError>) -> Vec<String> {
    let text = error.map_or_else(String::new, |error| error.to_string());
    text.lines()
        .map(|line| {
            line.strip_prefix("t.toml:")
                .expect("names the file")
                .to_owned()
        })
        .collect()
}

/// Each wrong part of a file has its one complaint, and no other.
fn check(cases: &[(impl AsRef<str>, impl AsRef<str>)], text: impl Fn(&str) -> String) {
    for (wrong, message) in cases {
        let wrong = wrong.as_ref();
        assert_eq!(complaints(&text(wrong)), [message.as_ref()], "for: {wrong}");
    }
}

/// As [`check`], of files that need not be a gateway's.
fn check_file(cases: &[(impl AsRef<str>, impl AsRef<str>)], text: impl Fn(&str) -> String) {
    for (wrong, message) in cases {
        let text = text(wrong.as_ref());
        let complaints = lines(File::parse(&text, Path::new("t.toml")).err());
        assert_eq!(complaints, [message.as_ref()], "for: {text}");
    }
}

#[test]
fn wrong_and_missing_sections_are_refused() {
    let cases = [
        (
            "[gatewey]\ninterfaces=['e']",
            "1: gatewey: unknown key (nearest: gateway); accepted: gateway, snat, bypass, forward, timeouts, limits, answers, protocols, metrics, log, routing, eni, rule",
        ),
        (
            "gateway=1",
            "1: gateway: 1 is an integer; accepted: section [gateway] with interfaces = [\"eth0\"]",
        ),
    ];
    for (wrong, message) in cases {
        let complaints = complaints(&format!("{wrong}\n{ENTRY}"));
        assert!(complaints.contains(&message.to_owned()), "{complaints:?}");
    }
    let missing = "1: gateway: missing; accepted: section [gateway] with interfaces = [\"eth0\"]";
    assert_eq!(complaints(ENTRY), [missing]);
    let cases = [
        (
            "",
            "1: snat: missing; accepted: at least one section [[snat]] with source = [\"172.16.0.0/16\"]",
        ),
        (
            "[snat]\nsource=['10.0.0.0/8']",
            "3: snat: a table; accepted: [[snat]] sections",
        ),
    ];
    check(&cases, |wrong| format!("{GATEWAY}{wrong}"));
}

#[test]
fn broken_toml_is_refused_at_its_lines() {
    let cases = [
        (
            "[gateway",
            vec!["1: invalid TOML: unclosed table, expected `]`"],
        ),
        (
            "[gateway]\nname=",
            vec!["2: invalid TOML: string values must be quoted, expected literal string"],
        ),
        (
            "[gateway]\nname='a'\nname='b'",
            vec!["3: invalid TOML: duplicate key"],
        ),
        (
            "a=1\n[b\n[[c]\n",
            vec![
                "2: invalid TOML: unclosed table, expected `]`",
                "3: invalid TOML: unclosed array table, expected `]`",
            ],
        ),
    ];
    for (wrong, messages) in cases {
        assert_eq!(complaints(wrong), messages, "for: {wrong}");
    }
}

#[test]
fn every_problem_is_reported_in_the_files_order() {
    let text = "[gateway]\nname='X'\n[[snat]]\nsource=['x']\nports='9-8'\n[timeouts]\nudp='x'\n";
    let complaints = complaints(text);
    let places: Vec<_> = complaints
        .iter()
        .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let wanted = [
        "1 gateway.interfaces",
        "2 gateway.name",
        "4 snat[1].source[1]",
        "5 snat[1].ports",
        "7 timeouts.udp",
    ];
    assert_eq!(places, wanted, "{complaints:#?}");
}

#[test]
fn a_missing_file_and_another_instances_file_are_named() {
    let missing = Config::load(Path::new("no-such.toml"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        missing,
        "cannot read the configuration no-such.toml: No such file or directory (os error 2); name another file with --config"
    );
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/snat.toml");
    assert!(Config::load_for(Path::new(sample), Some("default")).is_ok());
    let other = Config::load_for(Path::new(sample), Some("blue"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        other,
        format!(
            "--name blue: {sample} is for instance \"default\"; leave --name out or name another file with --config"
        )
    );
}
