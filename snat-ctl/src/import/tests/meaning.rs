//! Rules whose order or conditions an entry cannot have: never taken for something wider or narrower in silence.

use super::{Kind, nft_table, post, pre, read};

#[test]
fn clients_that_a_rule_tells_by_interface_are_not_taken_for_all() {
    let by = "iifname \"lan1\" oifname \"eth0\" snat to 203.0.113.11\n\
              iifname \"lan2\" ip saddr 10.2.0.0/16 oifname \"eth0\" snat to 203.0.113.12";
    let read = read(&nft_table(by, ""));
    assert_eq!(read.entries(), ["10.2.0.0/16 > 203.0.113.12"]);
    assert_eq!(read.config.gateway.interfaces, ["eth0", "lan2"]);
    assert!(
        read.notes(Kind::LeftOut)
            .contains("names clients by interface")
    );
    assert!(read.notes(Kind::Differs).contains("by whichever they come"));
}

#[test]
fn of_the_same_prefix_by_two_interfaces_the_second_is_not_lost() {
    let by = "iifname \"lan1\" ip saddr 10.0.0.0/8 oifname \"eth0\" snat to 203.0.113.11\n\
              iifname \"lan2\" ip saddr 10.0.0.0/8 oifname \"eth0\" snat to 203.0.113.12";
    let read = read(&nft_table(by, ""));
    assert_eq!(read.entries(), ["10.0.0.0/8 > 203.0.113.11"]);
    assert!(
        read.notes(Kind::LeftOut).contains("by another interface"),
        "{:#?}",
        read.imported
    );
}

#[test]
fn a_narrower_rule_does_not_widen_an_earlier_entry() {
    for (rules, more) in [
        (
            "-s 10.0.0.0/8 ! -d 192.168.0.0/16 -o eth0 -j MASQUERADE\n-s 10.1.0.0/16 -o eth0 -j MASQUERADE",
            "for other destinations",
        ),
        (
            "-s 10.0.0.0/8 -p tcp -o eth0 -j MASQUERADE\n-s 10.1.0.0/16 -o eth0 -j MASQUERADE",
            "for another protocol",
        ),
        (
            "-s 10.0.0.0/8 -o eth0 -j MASQUERADE\n-s 10.1.0.0/16 -o eth1 -j MASQUERADE",
            "by another interface",
        ),
        // Each of the two is for less than both together.
        (
            "-s 10.0.0.0/8 -p tcp -o eth0 -j MASQUERADE\n-s 10.0.0.0/8 -p udp -o eth1 -j MASQUERADE",
            "by another interface",
        ),
    ] {
        let read = read(&post(rules));
        let left_out = read.notes(Kind::LeftOut);
        assert!(
            left_out.contains(more) && left_out.contains("line 5"),
            "{rules}: {:#?}",
            read.imported
        );
    }
    let exempt = "-s 10.0.0.0/8 ! -d 192.168.0.0/16 -o eth0 -j MASQUERADE\n-s 10.1.0.0/16 -o eth0 -j MASQUERADE";
    assert_eq!(read(&post(exempt)).bypass(), ["192.168.0.0/16"]);
}

#[test]
fn ports_that_spread_to_protocols_which_had_none_are_named() {
    let rules = "-s 10.0.0.0/8 -p tcp -o eth0 -j MASQUERADE --to-ports 2000-2009\n-s 10.0.0.0/8 -o eth0 -j MASQUERADE";
    let read = read(&post(rules));
    assert!(
        read.notes(Kind::Differs)
            .contains("its ports are for some protocols only"),
        "{:#?}",
        read.imported
    );
}

/// A chain of one's own before a masquerade of all.
fn chain(rules: &str) -> String {
    let rules = rules.lines().map(|rule| format!("-A U {rule}\n"));
    let rules: String = rules.collect();
    format!(
        "*nat\n:POSTROUTING ACCEPT [0:0]\n:U - [0:0]\n:V - [0:0]\n-A POSTROUTING -j U\n\
         -A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE\n{rules}COMMIT\n"
    )
}

#[test]
fn what_returns_from_a_chain_does_not_come_to_its_accept() {
    let all = read(&chain(
        "-d 192.168.0.0/16 -j RETURN\n-d 192.168.0.0/16 -j ACCEPT",
    ))
    .whole();
    assert!(all.bypass().is_empty());

    let part = read(&chain(
        "-d 172.16.0.0/13 -j RETURN\n-d 172.16.0.0/12 -j ACCEPT",
    ))
    .whole();
    assert_eq!(part.bypass(), ["172.24.0.0/13"]);

    let gone = read(&chain("-d 172.16.0.0/13 -g V\n-d 172.16.0.0/12 -j ACCEPT")).whole();
    assert_eq!(gone.bypass(), ["172.24.0.0/13"]);

    let other = read(&chain(
        "-s 10.1.0.0/16 -d 172.16.0.0/13 -j RETURN\n-d 172.16.0.0/12 -j ACCEPT",
    ));
    assert!(other.bypass().is_empty());
    assert!(
        other.notes(Kind::LeftOut).contains("but for those of line"),
        "{:#?}",
        other.imported
    );
}

#[test]
fn a_chain_that_returns_what_is_inside_and_accepts_the_rest_translates_what_is_inside() {
    let read = read(&chain("-d 10.0.0.0/8 -j RETURN\n-j ACCEPT"));
    // All but 10.0.0.0/8 goes untranslated.
    assert_eq!(read.entries(), ["10.0.0.0/8 > auto"]);
    assert!(!read.bypass().is_empty());
    assert!(!read.bypass().contains(&"10.0.0.0/8".to_owned()));
}

#[test]
fn a_port_that_this_host_takes_for_itself_is_not_forwarded() {
    for first in [
        "-j REDIRECT --to-ports 2222",
        "-j DROP",
        "-j DNAT --to-destination 10.0.0.9-10.0.0.10",
    ] {
        let rules = format!(
            "-d 203.0.113.10/32 -p tcp -m tcp --dport 22 {first}\n\
             -d 203.0.113.10/32 -p tcp -m tcp --dport 21:23 -j DNAT --to-destination 10.0.0.5"
        );
        let read = read(&pre(&rules));
        assert_eq!(
            read.forwards(),
            [
                "Tcp 203.0.113.10:21 > 10.0.0.5:21",
                "Tcp 203.0.113.10:23 > 10.0.0.5:23"
            ],
            "{first}"
        );
        assert!(!read.imported.is_whole());
    }
    let logged = "-d 203.0.113.10/32 -p tcp -m tcp --dport 22 -j LOG\n\
                  -d 203.0.113.10/32 -p tcp -m tcp --dport 22 -j DNAT --to-destination 10.0.0.5";
    assert_eq!(read(&pre(logged)).forwards().len(), 1);
}

#[test]
fn a_hairpin_of_others_than_the_clients_is_none() {
    let rules = "*nat\n-A PREROUTING -d 203.0.113.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.16.1.5\n\
                 -A POSTROUTING -s 10.8.0.0/24 -d 172.16.1.5/32 -o eth1 -j MASQUERADE\n\
                 -A POSTROUTING -s 172.16.0.0/16 -o eth0 -j MASQUERADE\nCOMMIT\n";
    let read = read(rules);
    assert!(
        read.notes(Kind::LeftOut).contains("some destinations only"),
        "{:#?}",
        read.imported
    );
}

#[test]
fn a_mask_is_not_taken_for_an_address() {
    let json = r#"{"nftables": [
        {"chain": {"family": "ip", "table": "mine", "name": "out", "handle": 1, "type": "nat", "hook": "postrouting", "prio": 100, "policy": "accept"}},
        {"rule": {"family": "ip", "table": "mine", "chain": "out", "handle": 2, "expr": [
            {"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "ip", "field": "saddr"}}, "0.0.0.1"]}, "right": "0.0.0.1"}},
            {"snat": {"addr": "203.0.113.11"}}]}}]}"#;
    let imported = super::import(json);
    assert_eq!(imported.config, None);
    assert!(super::notes(&imported, Kind::LeftOut).contains("0.0.0.1"));
}

#[test]
fn a_clamp_of_the_mss_for_some_packets_only_is_not_taken_for_all() {
    for (rule, kind, why) in [
        ("-m mark --mark 0x1", Kind::LeftOut, "--mark 0x1"),
        ("-o wg0", Kind::LeftOut, "not the gateway's"),
        ("-s 10.1.0.0/16", Kind::Differs, "for some packets only"),
    ] {
        let mss = format!("*mangle\n-A FORWARD {rule} -p tcp -j TCPMSS --set-mss 1360\nCOMMIT\n");
        let read = read(&(mss + &post("-s 10.0.0.0/8 -o eth0 -j MASQUERADE")));
        assert!(read.notes(kind).contains(why), "{:#?}", read.imported);
    }
}

#[test]
fn tables_come_in_the_kernels_order_whatever_kind_they_are_of() {
    let nft = nft_table(
        "ip saddr 10.0.0.0/8 oifname \"eth0\" snat to 203.0.113.11",
        "",
    )
    .replace("priority srcnat", "priority 0");
    let mut rules = crate::import::iptables::read(&post("-s 10.0.0.0/8 -o eth0 -j MASQUERADE"), "");
    rules.append(crate::import::read(&nft, crate::import::Format::Nft).unwrap());
    let given = crate::import::Given::default();
    let imported = crate::import::translate::translate(rules, None, &given, Vec::new());
    let text = imported.config.unwrap();
    assert!(
        text.contains("203.0.113.11\"") && !text.contains("\"auto\""),
        "{text}"
    );
}

#[test]
fn of_both_programs_in_one_file_each_has_its_own_family() {
    let four = post("-s 10.0.0.0/8 -o eth0 -j MASQUERADE");
    let six = post("-o eth0 -j MASQUERADE");
    let both = format!(
        "# Generated by iptables-save v1.8.9\n{four}# Generated by ip6tables-save v1.8.9\n{six}"
    );
    let read = read(&both);
    assert_eq!(read.entries(), ["10.0.0.0/8 > auto"]);
    assert!(read.notes(Kind::LeftOut).contains("IPv6"));
}

#[test]
fn what_is_not_in_the_format_that_is_named_is_refused() {
    use super::{Format, Given, text};
    for format in [Format::IptablesSave, Format::Nft, Format::NftJson] {
        for rules in ["", "hello"] {
            assert!(text(rules, format, &Given::default()).is_err(), "{rules:?}");
        }
    }
}

#[test]
fn a_variable_is_not_an_interface() {
    let imported = super::import(&nft_table("oifname $wan masquerade", ""));
    assert_eq!(imported.config, None);
    assert!(super::notes(&imported, Kind::LeftOut).contains("$wan"));
}

#[test]
fn a_rule_that_logs_is_not_taken_for_one_that_does_nothing() {
    let alone = "ip saddr 10.1.0.0/16 log prefix \"a { b\" level info\nip saddr 10.0.0.0/8 oifname \"eth0\" masquerade";
    let alone = read(&nft_table(alone, ""));
    assert!(alone.notes(Kind::LeftOut).contains("nothing is logged"));
    assert_eq!(alone.entries(), ["10.0.0.0/8 > auto"]);

    let beside = "ip saddr 10.0.0.0/8 oifname \"eth0\" log prefix \"a { b\" level info masquerade comment \"masquerade }\"";
    let beside = read(&nft_table(beside, ""));
    assert!(beside.notes(Kind::Differs).contains("nothing is logged"));
    assert_eq!(beside.entries(), ["10.0.0.0/8 > auto"]);
}
