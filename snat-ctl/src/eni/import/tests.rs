use std::{collections::BTreeMap, path::Path};

use super::{Imported, kernel, script};
use crate::{
    config::{File, Match, NextHop, RuleVerdict},
    eni::{Action, Family, Interface, PROTOCOL, Route, Rule},
};

/// eth0 and eth1 of the documented example.
fn interfaces() -> Vec<Interface> {
    let interface = |name: &str, ifindex, addresses: &[&str]| Interface {
        name: name.to_owned(),
        ifindex,
        mac: None,
        addresses: addresses
            .iter()
            .map(|net| net.parse().expect("a prefix"))
            .collect(),
        default_routes: Vec::new(),
        network_file: None,
    };
    vec![
        interface("eth0", 2, &["172.16.10.10/24"]),
        interface("eth1", 3, &["172.16.20.193/24", "2001:db8:20::193/64"]),
    ]
}

fn read(text: &str) -> Imported {
    script(text, &interfaces(), &BTreeMap::new())
}

fn notes(imported: &Imported) -> Vec<String> {
    imported.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn the_documented_rc_local_becomes_one_eni() {
    let imported = read(
        "#!/bin/sh -e\n\
         # eth1 answers by eth1\n\
         echo \"1001 eth1\" >> /etc/iproute2/rt_tables\n\
         ip route add default via 172.16.20.253 dev eth1 table eth1\n\
         /sbin/ip route add 172.16.20.0/24 dev eth1 src 172.16.20.193 table 1001 &&\n\
         sudo ip rule add from 172.16.20.193 lookup eth1; ip -6 route add default via fe80::1 dev eth1 table 1001\n\
         ip -6 rule add from 2001:db8:20::193/128 table 1001 pref 100\n\
         route add default gw 172.16.20.253 dev eth1 metric 200\n\
         exit 0\n",
    );
    assert_eq!(notes(&imported), Vec::<String>::new());
    assert_eq!(
        imported.to_toml(),
        "[[eni]]\n\
         match          = { name = \"eth1\" }\n\
         table          = 1001\n\
         gateway        = \"172.16.20.253\"\n\
         gateway6       = \"fe80::1\"\n\
         default_metric = 200\n"
    );
}

#[test]
fn rules_that_are_no_enis_become_access_rules_in_the_kernels_order() {
    let imported = read(
        "ip route add default via 172.16.20.253 dev eth1 table 1001\n\
         ip rule add from 172.16.20.193 table 1001 priority 1000\n\
         ip rule add from 10.1.0.0/16 to 203.0.113.0/24 lookup 1001 pref 900\n\
         ip rule add iif eth1 ipproto tcp dport 22 fwmark 0x1/0xff prohibit pref 800\n\
         ip -6 rule add iif eth1 blackhole pref 850\n\
         ip rule add to 10.8.0.0/16 lookup main pref 700\n\
         ip rule add fwmark 257 table 1001 pref 950\n",
    );
    assert_eq!(notes(&imported), Vec::<String>::new());
    assert_eq!(
        imported.to_toml(),
        "[routing]\n\
         bypass = [\"10.8.0.0/16\"]\n\
         \n\
         [[eni]]\n\
         match   = { name = \"eth1\" }\n\
         table   = 1001\n\
         gateway = \"172.16.20.253\"\n\
         mark    = \"0x101\"\n\
         \n\
         [[rule]]\n\
         source            = [\"0.0.0.0/0\"]\n\
         interface         = \"eth1\"\n\
         protocol          = \"tcp\"\n\
         destination_ports = 22\n\
         mark              = \"0x1/0xff\"\n\
         action            = \"prohibit\"\n\
         \n\
         [[rule]]\n\
         source    = [\"::/0\"]\n\
         interface = \"eth1\"\n\
         action    = \"blackhole\"\n\
         \n\
         [[rule]]\n\
         source      = [\"10.1.0.0/16\"]\n\
         destination = [\"203.0.113.0/24\"]\n\
         lookup      = \"eth1\"\n"
    );
}

#[test]
fn without_priorities_the_rule_added_last_is_asked_first() {
    let imported =
        read("ip rule add from 10.1.0.0/16 prohibit\nip rule add from 10.0.0.0/8 unreachable\n");
    let verdicts: Vec<_> = imported
        .rules
        .into_iter()
        .map(|rule| rule.verdict)
        .collect();
    assert_eq!(verdicts, [RuleVerdict::Unreachable, RuleVerdict::Prohibit]);
}

#[test]
fn what_is_not_understood_is_a_note_with_its_line() {
    let imported = read(
        "touch /var/lock/subsys/local\n\
         GW=172.16.20.253; ip route add default via $GW dev eth1 table 1001\n\
         ip rule del from 172.16.20.193 2>/dev/null\n\
         ip rule add from 172.16.20.193 table eth9\n\
         ip rule add not from 10.0.0.0/8 table 1001\n\
         route add -net 10.0.0.0 netmask 255.0.0.0 gw 172.16.20.1 dev eth1\n\
         ip route add default via 172.16.10.253 dev eth0\n\
         ip rule add from all lookup main suppress_prefixlength 0\n\
         ip route add default nexthop via 172.16.20.253 dev eth1 table 1002\n\
         ip rule add from 172.16.20.193 'table 1001\n",
    );
    let expected = [
        (1, "touch /var/lock/subsys/local", "not a command"),
        (2, "GW=172.16.20.253", "not a command"),
        (
            2,
            "ip route add default via $GW dev eth1 table 1001",
            "variables",
        ),
        (3, "ip rule del from 172.16.20.193", "only `ip rule add`"),
        (
            4,
            "ip rule add from 172.16.20.193 table eth9",
            "no table is called \"eth9\"",
        ),
        (5, "not from 10.0.0.0/8 lookup 1001", "no key in [[rule]]"),
        (6, "10.0.0.0/8 via 172.16.20.1 dev eth1", "main table"),
        (7, "default via 172.16.10.253 dev eth0", "operating system"),
        (
            8,
            "from all lookup 254 suppress_prefixlength 0",
            "no key in [[rule]]",
        ),
        (
            9,
            "ip route add default nexthop",
            "\"nexthop\" is not understood",
        ),
        (10, "ip rule add from 172.16.20.193 'table 1001", "quotes"),
    ];
    let all = notes(&imported);
    assert_eq!(imported.notes.len(), expected.len(), "{all:#?}");
    for (note, (line, what, why)) in imported.notes.iter().zip(expected) {
        assert_eq!(note.line, Some(line), "{all:#?}");
        assert!(
            note.what.starts_with(what) && note.why.contains(why),
            "{note}"
        );
    }
    assert!(
        imported.enis.is_empty() && imported.rules.is_empty(),
        "{imported:#?}"
    );
    assert!(imported.to_toml().starts_with("# line 1: `touch /var/lock"));
}

#[test]
fn a_source_that_is_no_address_of_the_interface_is_an_access_rule() {
    let imported = read(
        "ip route add default via 172.16.20.253 dev eth1 table 1001\n\
         ip rule add from 192.0.2.7 table 1001\n",
    );
    assert_eq!(
        imported.rules[0].verdict,
        RuleVerdict::Eni("eth1".to_owned())
    );
    let elsewhere = script(
        "ip route add default via 10.9.0.1 dev ens9 table 9\nip rule add from 10.9.0.9 table 9\n",
        &interfaces(),
        &BTreeMap::new(),
    );
    assert_eq!(elsewhere.enis[0].matcher, Match::Name("ens9".to_owned()));
    assert!(
        elsewhere.rules.is_empty(),
        "an interface of another machine has the addresses its rules say"
    );
}

#[test]
fn a_rule_that_will_be_asked_earlier_than_it_was_is_noted() {
    let imported = read(
        "ip route add default via 172.16.20.253 dev eth1 table 1001\n\
         ip rule add from 172.16.20.193 table 1001 pref 100\n\
         ip rule add to 10.8.0.0/16 table main pref 200\n",
    );
    assert_eq!(imported.bypass.len(), 1);
    assert!(
        notes(&imported)[0].starts_with("line 3: ") && notes(&imported)[0].contains("asked before")
    );
}

#[test]
fn a_table_that_leads_by_two_interfaces_is_no_enis() {
    let imported = read(
        "ip route add default via 172.16.20.253 dev eth1 table 5\n\
         ip route add 10.0.0.0/8 via 172.16.10.253 dev eth0 table 5\n\
         ip rule add from 172.16.20.193 table 5\n",
    );
    assert!(imported.enis.is_empty());
    assert_eq!(imported.notes.len(), 2, "{:?}", notes(&imported));
    assert_eq!(imported.rules[0].verdict, RuleVerdict::Table(5));
}

#[test]
fn of_the_kernel_only_what_others_made_by_intention_is_imported() {
    let rule = |priority, protocol, source: &str, table| Rule {
        source: source.parse().ok(),
        ..Rule::new(Family::Inet, priority, protocol, Action::Lookup(table))
    };
    let route = |table, protocol, metric, words: &str| Route {
        table,
        protocol,
        metric,
        gateway: Some(words.parse().expect("an address")),
        dev: Some("eth1".to_owned()),
        ..super::ip::plain_route(Family::Inet.everything())
    };
    let rules = [
        rule(0, 2, "", 255),
        rule(100, 3, "172.16.20.193/32", 1001),
        rule(20_400, PROTOCOL, "172.16.20.177/32", 1001),
        rule(32_766, 2, "", 254),
        rule(32_767, 2, "", 253),
    ];
    let routes = [
        route(1001, 3, 0, "172.16.20.253"),
        // By DHCP, by hand.
        route(254, 16, 300, "172.16.20.252"),
        route(254, 3, 200, "172.16.20.253"),
    ];
    let imported = kernel(&rules, &routes, &interfaces());
    let [eni] = &imported.enis[..] else {
        panic!("{imported:#?}");
    };
    assert_eq!((eni.table, eni.default_metric), (Some(1001), Some(200)));
    assert_eq!(eni.gateway, NextHop::Addr([172, 16, 20, 253].into()));
    assert!(imported.rules.is_empty(), "{imported:#?}");
    assert_eq!(
        notes(&imported),
        ["`protocol 201`: 1 rules and routes are snat-ctl's own and not imported"]
    );
}

#[test]
fn the_configuration_it_writes_is_accepted_and_says_the_same() {
    let imported = read(
        "touch /etc/x\n\
         ip route add default via 172.16.20.253 dev eth1 table 1001\n\
         ip -6 route add 2001:db8:20::/64 dev eth1 table 1001\n\
         ip route add default via 172.16.10.253 dev eth0 metric 300\n\
         ip rule add fwmark 0x7/0xf table 1001 pref 10\n\
         ip rule add to 10.8.0.0/16 table main pref 20\n\
         ip -6 rule add iif eth1 blackhole pref 30\n\
         ip rule add from 10.1.0.0/16 ipproto sctp sport 1-9 dport 80 mark 3 table 77 pref 40\n\
         ip rule add from 10.1.0.0/16 ipproto sctp sport 1-9 dport 80 fwmark 3 table 77 pref 40\n\
         ip rule add from 10.2.0.0/16 ipproto 47 unreachable pref 50\n\
         ip rule add from 10.3.0.0/16 lookup main pref 60\n\
         ip rule add to 192.0.2.0/24 lookup 1001 pref 70\n",
    );
    assert_eq!(imported.notes.len(), 2, "{:?}", notes(&imported));
    let text = imported.to_toml();
    let file = File::parse(&text, Path::new("imported.toml"))
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut routing = file.routing.expect("it has [[eni]]");
    routing.enis.iter_mut().for_each(|eni| eni.line = 0);
    routing.rules.iter_mut().for_each(|rule| rule.line = 0);
    assert_eq!(routing.bypass, imported.bypass, "{text}");
    assert_eq!(routing.enis, imported.enis, "{text}");
    assert_eq!(routing.rules, imported.rules, "{text}");
    assert_eq!(imported.rules.len(), 5, "{text}");
}
