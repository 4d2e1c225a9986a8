//! The first rule that matches counts; of entries the longest prefix does.

use super::{Kind, post, pre, read};

#[test]
fn a_longer_prefix_before_a_shorter_one_is_as_it_was() {
    let rules = "-s 10.1.0.0/16 -o eth0 -j SNAT --to-source 203.0.113.11\n-s 10.0.0.0/8 -o eth0 -j MASQUERADE";
    let read = read(&post(rules)).whole();
    assert_eq!(
        read.entries(),
        ["10.1.0.0/16 > 203.0.113.11", "10.0.0.0/8 > auto"]
    );
}

#[test]
fn a_rule_that_no_packet_reaches_makes_no_entry() {
    for first in [
        "-s 10.0.0.0/8 -o eth0 -j MASQUERADE",
        "-o eth0 -j MASQUERADE",
        "-s 10.0.0.0/9 -j ACCEPT\n-s 10.0.0.0/8 -o eth0 -j MASQUERADE",
    ] {
        let read = read(&post(&format!(
            "{first}\n-s 10.1.0.0/16 -o eth0 -j SNAT --to-source 203.0.113.11"
        )))
        .whole();
        assert_eq!(read.entries().len(), 1, "{first}");
        assert!(read.entries()[0].ends_with("> auto"), "{first}");
        assert!(
            read.notes(Kind::Advice)
                .contains("no packet of a client reaches it"),
            "{first}"
        );
    }
}

#[test]
fn the_same_client_by_several_interfaces_is_one_entry_if_each_has_its_own_address() {
    let by_both = "-s 10.0.0.0/8 -o eth0 -j MASQUERADE\n-s 10.0.0.0/8 -o eth1 -j MASQUERADE";
    let both = read(&post(by_both)).whole();
    assert_eq!(both.entries(), ["10.0.0.0/8 > auto"]);
    assert_eq!(both.config.gateway.interfaces, ["eth0", "eth1"]);

    let other = by_both.replace(
        "-o eth1 -j MASQUERADE",
        "-o eth1 -j SNAT --to-source 203.0.113.11",
    );
    let other = read(&post(&other));
    assert_eq!(other.entries(), ["10.0.0.0/8 > auto"]);
    let left_out = other.notes(Kind::LeftOut);
    assert!(
        left_out.contains("by another interface") && left_out.contains("line 4 has them"),
        "{left_out}"
    );
}

#[test]
fn what_order_cannot_be_kept_is_named() {
    for (rules, kind, why) in [
        (
            "-s 10.0.0.0/8 -p tcp -j SNAT --to-source 203.0.113.11\n-s 10.0.0.0/8 -j SNAT --to-source 203.0.113.12",
            Kind::LeftOut,
            "for another protocol",
        ),
        (
            "-s 10.0.0.0/8 ! -d 192.0.2.0/24 -j MASQUERADE\n-s 10.0.0.0/8 -j SNAT --to-source 203.0.113.12",
            Kind::LeftOut,
            "for other destinations",
        ),
        (
            "-s 10.0.0.0/8 -j MASQUERADE\n-s 172.16.0.0/12 ! -d 192.0.2.0/24 -j MASQUERADE",
            Kind::Differs,
            "it translates what goes to 192.0.2.0/24, too",
        ),
        (
            "-s 10.1.0.0/16 -o eth1 -j SNAT --to-source 203.0.113.11\n-s 10.0.0.0/8 -o eth0 -j MASQUERADE",
            Kind::Differs,
            "by another interface",
        ),
    ] {
        let read = read(&post(rules));
        assert!(
            read.notes(kind).contains(why),
            "{rules}: {:#?}",
            read.imported
        );
        assert!(!read.imported.is_whole());
    }
}

#[test]
fn chains_are_followed_and_returned_from() {
    let rules = "*nat\n:POSTROUTING ACCEPT [0:0]\n:lan - [0:0]\n:deep - [0:0]\n\
                 -A POSTROUTING -o eth0 -j lan\n\
                 -A POSTROUTING -s 10.2.0.0/16 -o eth0 -j SNAT --to-source 203.0.113.12\n\
                 -A lan -s 10.2.0.0/16 -j RETURN\n\
                 -A lan -s 10.0.0.0/8 -g deep\n\
                 -A deep -d 192.0.2.0/24 -j ACCEPT\n\
                 -A deep -j MASQUERADE\nCOMMIT\n";
    let read = read(rules);
    let entries = read.entries();
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert!(
        entries[0].starts_with("10.0.0.0/15 10.3.0.0/16 10.4.0.0/14")
            && entries[0].ends_with("> auto"),
        "{entries:?}"
    );
    assert_eq!(entries[1], "10.2.0.0/16 > 203.0.113.12");
    assert_eq!(read.bypass(), ["192.0.2.0/24"]);
    // For the second entry that is new, and said.
    assert!(read.notes(Kind::Differs).contains("192.0.2.0/24"));
}

#[test]
fn of_an_endpoint_the_first_forward_counts_and_what_is_let_go_has_none() {
    let to = |host| {
        format!(
            "-d 203.0.113.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.{host}"
        )
    };
    let first = read(&pre(&format!("{}\n{}", to(1), to(2)))).whole();
    assert_eq!(first.forwards(), ["Tcp 203.0.113.10:80 > 10.0.0.1:80"]);

    assert!(first.notes(Kind::Advice).contains("10.0.0.2: no packet"));

    let range = "-d 203.0.113.10/32 -p tcp -m tcp --dport 22 -j RETURN\n\
                 -d 203.0.113.10/32 -p tcp -m tcp --dport 21:23 -j DNAT --to-destination 10.0.0.1";
    let range = read(&pre(range)).whole();
    assert_eq!(
        range.forwards(),
        [
            "Tcp 203.0.113.10:21 > 10.0.0.1:21",
            "Tcp 203.0.113.10:23 > 10.0.0.1:23"
        ]
    );
}

#[test]
fn a_hairpin_needs_no_rule() {
    let forward = "-A PREROUTING -d 203.0.113.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5\n";
    for hairpin in [
        "-A POSTROUTING -s 10.0.0.0/8 -d 10.0.0.5/32 -p tcp -m tcp --dport 80 -j MASQUERADE\n",
        "-A POSTROUTING -s 10.0.0.0/24 -d 10.0.0.0/24 -j MASQUERADE\n",
    ] {
        let rules = format!(
            "*nat\n{forward}{hairpin}-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE\nCOMMIT\n"
        );
        let read = read(&rules).whole();
        assert_eq!(
            (read.entries().len(), read.forwards().len()),
            (1, 1),
            "{hairpin}"
        );
    }
    // Of what comes from outside it hides the sender: that is something else.
    let hidden = format!(
        "*nat\n{forward}-A POSTROUTING -d 10.0.0.5/32 -j MASQUERADE\n-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE\nCOMMIT\n"
    );
    assert!(
        read(&hidden)
            .notes(Kind::LeftOut)
            .contains("some destinations only")
    );
    // From inside the same forward needs no rule of its own either.
    let inside = forward.replace("-d ", "-i eth1 -d ");
    let both = format!(
        "*nat\n{forward}{inside}-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE\nCOMMIT\n"
    );
    assert_eq!(read(&both).whole().forwards().len(), 1);
}
