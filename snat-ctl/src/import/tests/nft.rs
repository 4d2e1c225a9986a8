//! What `nft` lists, as text and as JSON: the two say the same.

use super::{Format, Given, Kind, accounts, import, nft_table, read, text};

/// `nft list ruleset` of nftables 1.0.6, and the same by `nft -j`.
const LISTED: &str = include_str!("listed.nft");
const LISTED_JSON: &str = include_str!("listed.json");

#[test]
fn each_way_to_translate_sources_becomes_entries() {
    for (rule, entries) in [
        (
            "ip saddr 10.0.0.0/8 oifname \"eth0\" masquerade",
            &["10.0.0.0/8 > auto"][..],
        ),
        (
            "ip saddr 10.0.0.0/8 oif eth0 counter packets 1 bytes 2 masquerade fully-random",
            &["10.0.0.0/8 > auto"],
        ),
        (
            "ip saddr { 10.0.0.0/8, 192.168.0.0-192.168.0.1 } oifname eth0 masquerade",
            &["10.0.0.0/8 192.168.0.0/31 > auto"],
        ),
        (
            "oifname \"eth0\" ip saddr != 128.0.0.0/1 masquerade random,persistent",
            &["0.0.0.0/1 > auto"],
        ),
        (
            "meta nfproto ipv4 oifname \"eth0\" masquerade",
            &["0.0.0.0/0 > auto"],
        ),
        (
            "ip saddr 10.0.0.0/8 oifname \"eth0\" ct state new snat to 203.0.113.10",
            &["10.0.0.0/8 > 203.0.113.10"],
        ),
        (
            "ip saddr 10.0.0.0/8 oifname \"eth0\" snat ip to 203.0.113.10-203.0.113.11 persistent",
            &["10.0.0.0/8 > 203.0.113.10 203.0.113.11"],
        ),
        (
            "oifname \"eth0\" snat to ip saddr map { 10.0.0.1 : 203.0.113.1, 10.0.1.0/24 : 203.0.113.2 }",
            &["10.0.0.1/32 > 203.0.113.1", "10.0.1.0/24 > 203.0.113.2"],
        ),
        (
            "ip saddr 10.0.0.0/8 oifname \"eth0\" snat to numgen inc mod 2 map { 0 : 203.0.113.1, 1 : 203.0.113.2 }",
            &["10.0.0.0/8 > 203.0.113.1 203.0.113.2"],
        ),
        (
            "ip saddr 10.0.0.0/8 oifname \"eth0\" snat to jhash ip saddr mod 2 map { 0 : 203.0.113.1, 1 : 203.0.113.2 }",
            &["10.0.0.0/8 > 203.0.113.1 203.0.113.2"],
        ),
    ] {
        let read = read(&nft_table(rule, "")).whole();
        assert_eq!(read.entries(), entries, "{rule}");
        assert_eq!(read.config.gateway.interfaces, ["eth0"], "{rule}");
    }
}

#[test]
fn ports_of_a_protocol_join_the_rule_for_all_others() {
    let rules = "ip saddr 10.0.0.0/8 oifname \"eth0\" meta l4proto { tcp, udp } masquerade to :1024-2047\n\
                 ip saddr 10.0.0.0/8 oifname \"eth0\" masquerade";
    let joined = read(&nft_table(rules, ""));
    assert_eq!(joined.entries(), ["10.0.0.0/8 > auto [1024..=2047]"]);
    assert!(
        joined
            .notes(Kind::Differs)
            .contains("for some protocols only"),
        "{:#?}",
        joined.imported
    );

    let tcp = "ip saddr 10.0.0.0/8 oifname \"eth0\" meta l4proto tcp masquerade to :1024-2047";
    let tcp = read(&nft_table(tcp, ""));
    assert!(
        tcp.notes(Kind::Differs).contains("some protocols only"),
        "{:#?}",
        tcp.imported
    );
}

#[test]
fn each_way_to_forward_a_port_becomes_forwards() {
    let masquerade = "ip saddr 10.0.0.0/8 oifname \"eth0\" masquerade";
    let one = &["Tcp 203.0.113.10:80 > 10.0.0.1:8080"][..];
    let two = &[
        "Tcp 203.0.113.10:80 > 10.0.0.1:8080",
        "Tcp 203.0.113.10:443 > 10.0.0.2:443",
    ][..];
    for (rule, forwards) in [
        (
            "ip daddr 203.0.113.10 tcp dport 80 dnat to 10.0.0.1:8080",
            one,
        ),
        (
            "iifname \"eth0\" ip daddr 203.0.113.10 tcp dport 80 dnat ip to 10.0.0.1:8080",
            one,
        ),
        (
            "ip daddr . tcp dport { 203.0.113.10 . 80 } dnat ip to 10.0.0.1:8080",
            one,
        ),
        (
            "dnat ip to ip daddr . tcp dport map { 203.0.113.10 . 80 : 10.0.0.1 . 8080 }",
            one,
        ),
        (
            "ip daddr 203.0.113.10 dnat ip to tcp dport map { 80 : 10.0.0.1 . 8080, 443 : 10.0.0.2 . 443 }",
            two,
        ),
        (
            "ip daddr 203.0.113.10 dnat ip addr . port to tcp dport map { 80 : 10.0.0.1 . 8080, 443 : 10.0.0.2 . 443 }",
            two,
        ),
        (
            "ip daddr 203.0.113.10 meta l4proto { tcp, udp } th dport 53 dnat to 10.0.0.1",
            &[
                "Tcp 203.0.113.10:53 > 10.0.0.1:53",
                "Udp 203.0.113.10:53 > 10.0.0.1:53",
            ],
        ),
    ] {
        assert_eq!(
            read(&nft_table(masquerade, rule)).whole().forwards(),
            forwards,
            "{rule}"
        );
    }
}

#[test]
fn what_is_not_understood_is_named_as_it_stands() {
    for rule in [
        "ip saddr 10.0.0.0/8 ct mark 0x00000001 masquerade",
        "ip saddr 10.0.0.0/8 limit rate 10/second masquerade",
        "ip saddr @missing masquerade",
        "ip saddr 10.0.0.0/8 socket cgroupv2 level 1 \"x\" masquerade",
        "snat ip prefix to ip saddr map { 10.0.0.0/24 : 203.0.113.0/24 }",
        "ip saddr 10.0.0.0/8 snat to fd00::1",
        "ip6 saddr fd00::/8 masquerade",
        "ip saddr 10.0.0.0/8 meta mark set 0x00000001",
        "xt target \"MASQUERADE\"",
        "frobnicate 1",
    ] {
        let read = read(&nft_table(
            &format!("{rule}\noifname \"eth0\" masquerade"),
            "",
        ));
        assert!(
            read.notes(Kind::LeftOut).contains(rule),
            "{rule}: {:#?}",
            read.imported
        );
        assert_eq!(read.entries(), ["0.0.0.0/0 > auto"], "{rule}");
    }
}

#[test]
fn text_and_json_of_the_same_rules_say_the_same() {
    let by = |rules: &str, format| {
        let imported = text(rules, format, &Given::default()).unwrap();
        accounts(&imported);
        imported
    };
    let (plain, json) = (by(LISTED, Format::Auto), by(LISTED_JSON, Format::Auto));
    let without_comments = |text: Option<String>| {
        let text = text.unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(
        (plain.rules, plain.translated),
        (json.rules, json.translated)
    );
    assert_eq!(plain.notes.len(), json.notes.len());
    let kinds = |imported: &super::Imported| {
        imported
            .notes
            .iter()
            .map(|note| note.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&plain), kinds(&json));
    assert_eq!(
        without_comments(plain.config),
        without_comments(json.config)
    );
    assert_eq!(plain.rules, 30);
}

#[test]
fn named_sets_may_span_lines_and_stand_behind_their_rules() {
    let rules = "table ip mine {\n chain out {\n type nat hook postrouting priority 100; policy accept;\n \
                 ip saddr @clients oifname @out masquerade\n }\n set clients {\n type ipv4_addr\n flags interval\n \
                 elements = { 10.0.0.1 comment \"a\",\n\t\t 10.1.0.0/16 }\n }\n \
                 set out {\n type ifname\n elements = { \"eth0\", \"eth1\" }\n }\n}\n";
    let read = read(rules).whole();
    assert_eq!(read.entries(), ["10.0.0.1/32 10.1.0.0/16 > auto"]);
    assert_eq!(read.config.gateway.interfaces, ["eth0", "eth1"]);
}

#[test]
fn what_is_outside_of_tables_is_named() {
    let rules = format!(
        "flush ruleset\n{}",
        nft_table("oifname \"eth0\" masquerade", "")
    );
    let imported = import(&rules);
    let note = &imported.notes[0];
    assert_eq!(
        (note.kind, note.line, note.rule.as_str()),
        (Kind::LeftOut, Some(1), "flush ruleset")
    );
}
