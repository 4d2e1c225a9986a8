//! `[limits]`, `[answers]`, `[protocols]` and `[log]`.

use super::{ENTRY, GATEWAY, check};

#[test]
fn wrong_limits_are_refused() {
    let cases = [
        (
            "flows_per_source='x'",
            "flows_per_source: \"x\" is a string; accepted: 0 to 4294967295",
        ),
        (
            "flows_per_source=-1",
            "flows_per_source: -1 is out of range; accepted: 0 to 4294967295",
        ),
        (
            "new_flows_per_source=10_000_001",
            "new_flows_per_source: 10000001 is out of range; accepted: 0 to 10000000",
        ),
        (
            "fragments_per_source=1.5",
            "fragments_per_source: 1.5 is a float; accepted: 0 to 10000000",
        ),
        (
            "answers_per_second=true",
            "answers_per_second: true is a boolean; accepted: 0 to 10000000",
        ),
        (
            "flows=0",
            "flows: unknown key (nearest: flows_per_source); accepted: flows_per_source, new_flows_per_source, fragments_per_source, answers_per_second",
        ),
    ];
    let cases = cases.map(|(wrong, message)| (wrong, format!("6: limits.{message}")));
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}[limits]\n{wrong}"));
}

#[test]
fn wrong_answers_are_refused() {
    let cases = [
        (
            "refused='reset'",
            "refused: unknown \"reset\"; accepted: admin-prohibited, host-unreachable, none",
        ),
        (
            "refused=13",
            "refused: 13 is an integer; accepted: admin-prohibited, host-unreachable, none",
        ),
        (
            "reset='clients'",
            "reset: \"clients\" is a string; accepted: a list of \"clients\", \"servers\"",
        ),
        (
            "reset=['clients','peers']",
            "reset[2]: unknown \"peers\"; accepted: clients, servers",
        ),
        (
            "reset=['clients','clients']",
            "reset[2]: clients is listed twice; accepted: each once",
        ),
        (
            "refuse='none'",
            "refuse: unknown key (nearest: refused); accepted: refused, reset",
        ),
    ];
    let cases = cases.map(|(wrong, message)| (wrong, format!("6: answers.{message}")));
    check(&cases, |wrong| {
        format!("{GATEWAY}{ENTRY}[answers]\n{wrong}")
    });
}

#[test]
fn wrong_protocols_are_refused() {
    let cases = [
        (
            "udp_lite='address-only'",
            "udp_lite: unknown \"address-only\"; accepted: translate, drop",
        ),
        (
            "sctp='translate'",
            "sctp: unknown \"translate\"; accepted: address-only, drop",
        ),
        (
            "gre=47",
            "gre: 47 is an integer; accepted: address-only, drop",
        ),
        (
            "esp='pass'",
            "esp: unknown \"pass\"; accepted: address-only, drop",
        ),
        (
            "others=true",
            "others: true is a boolean; accepted: address-only, drop",
        ),
        (
            "ah='drop'",
            "ah: unknown key; accepted: udp_lite, sctp, gre, esp, others",
        ),
    ];
    let cases = cases.map(|(wrong, message)| (wrong, format!("6: protocols.{message}")));
    check(&cases, |wrong| {
        format!("{GATEWAY}{ENTRY}[protocols]\n{wrong}")
    });
}

#[test]
fn wrong_logs_are_refused() {
    const TO: &str = "accepted: \"journal\" or the absolute path of a file such as \"/var/log/snat/mappings.jsonl\"";
    let cases = [
        (
            "mappings='stdout'",
            "6: log.mappings: \"stdout\" is neither; ",
        ),
        (
            "mappings='/var/log/'",
            "6: log.mappings: \"/var/log/\" is neither; ",
        ),
        ("mappings=true", "6: log.mappings: true is a boolean; "),
    ];
    let cases = cases.map(|(wrong, message)| (wrong, format!("{message}{TO}")));
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}[log]\n{wrong}"));
    let cases = [
        (
            "destinations=false",
            format!("5: log.mappings: missing; {TO}"),
        ),
        (
            "mappings='journal'\ndestinations='no'",
            "7: log.destinations: \"no\" is a string; accepted: true or false".to_owned(),
        ),
    ];
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}[log]\n{wrong}"));
}
