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
