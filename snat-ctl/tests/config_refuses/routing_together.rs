//! What `[[eni]]` and `[[rule]]` may say each by itself and not together, and files with and without a gateway.

use std::{fs, path::Path};

use snat_ctl::config::{Config, File};

use super::{ENTRY, GATEWAY, check, check_file, lines};

fn eni(name: &str, rest: &str) -> String {
    format!("[[eni]]\nmatch={{name='{name}'}}\n{rest}\n")
}

#[test]
fn what_is_one_interfaces_own_is_refused_for_a_second() {
    let two = |first: &str, second: &str| eni("eth1", first) + &eni("eth2", second);
    let own = |key: &str| {
        format!("is the {key} of the [[eni]] in line 1 too; accepted: a {key} of its own")
    };
    let mac = |mac: &str| format!("[[eni]]\nmatch={{mac='{mac}'}}\n");
    let cases = [
        (eni("eth1", "") + &eni("eth1", ""), format!("5: eni[2].match: eth1 {}", own("match"))),
        (
            mac("02:00:00:00:00:aa") + &mac("02:00:00:00:00:AA"),
            format!("4: eni[2].match: 02:00:00:00:00:aa {}", own("match")),
        ),
        (two("table=7", "table=7"), format!("6: eni[2].table: 7 {}", own("table"))),
        (
            two("default_metric=7", "default_metric=7"),
            format!("6: eni[2].default_metric: 7 {}", own("default_metric")),
        ),
        (
            two("prefixes=['10.0.0.0/24']", "prefixes=['10.0.0.16/28']"),
            "6: eni[2].prefixes[1]: 10.0.0.16/28 overlaps 10.0.0.0/24 of another [[eni]] in line 3; accepted: prefixes of this one alone".to_owned(),
        ),
        (
            two("prefixes=['2001:db8::/64']", "prefixes=['10.0.0.0/8', '2001:db8::/32']"),
            "6: eni[2].prefixes[2]: 2001:db8::/32 overlaps 2001:db8::/64 of another [[eni]] in line 3; accepted: prefixes of this one alone".to_owned(),
        ),
        (
            eni("eth1", "prefixes=['10.0.0.0/8','10.0.0.0/8']"),
            "3: eni[1].prefixes[2]: 10.0.0.0/8 is listed twice; accepted: each once".to_owned(),
        ),
    ];
    check_file(&cases, str::to_owned);
}

#[test]
fn marks_of_two_interfaces_that_a_packet_can_have_both_of_are_refused() {
    let meet = |mark: &str| {
        format!(
            "6: eni[2].mark: {mark} and the mark of the [[eni]] in line 1 match the same packets; accepted: marks that no packet can have both of"
        )
    };
    let cases = [
        ("7", "7", meet("0x7")),
        ("'0x1/0xf'", "0x21", meet("0x21")),
        ("'0x1/0xf'", "'0x20/0xf0'", meet("0x20/0xf0")),
    ];
    for (first, second, message) in cases {
        let text = eni("eth1", &format!("mark={first}")) + &eni("eth2", &format!("mark={second}"));
        check_file(&[(text, message)], str::to_owned);
    }
}

#[test]
fn bits_of_a_mark_that_balancing_sets_are_refused() {
    let shares = |mark: &str| {
        format!(
            "mark: {mark} shares bits with routing.mark_mask 0xf0, which weight sets; accepted: other bits"
        )
    };
    let cases = [
        ("'0x1/0x1f'", "0x1/0x1f"),
        ("0x11", "0x11"),
        ("'0x10/0xffffffff'", "0x10"),
    ];
    for (mark, shown) in cases {
        let routing = "[routing]\nmark_mask=0xf0\n";
        let balanced = eni("eth1", "weight=1") + &eni("eth2", "weight=1");
        let of_eni = format!(
            "{routing}{balanced}{}",
            eni("eth3", &format!("mark={mark}"))
        );
        let of_rule = format!("{routing}{balanced}[[rule]]\nmark={mark}\nlookup='main'");
        let cases = [
            (of_eni.clone(), format!("11: eni[3].{}", shares(shown))),
            (of_rule, format!("10: rule[1].{}", shares(shown))),
        ];
        check_file(&cases, str::to_owned);
        let unbalanced = of_eni.replace("weight=1", "");
        assert_eq!(
            lines(File::parse(&unbalanced, Path::new("t.toml")).err()),
            [""; 0]
        );
    }
    let no_bit_is_left = format!(
        "[routing]\nmark_mask=0xffffffff\n{}{}[[rule]]\nmark=0\nlookup='main'",
        eni("eth1", "weight=1"),
        eni("eth2", "weight=1")
    );
    let message = "10: rule[1].mark: 0x0 shares bits with routing.mark_mask 0xffffffff, which weight sets; accepted: other bits";
    check_file(&[(no_bit_is_left, message)], str::to_owned);
}

#[test]
fn a_lookup_that_names_no_interface_is_refused() {
    let rule = |lookup: &str| format!("[[rule]]\nprotocol='gre'\nlookup='{lookup}'\n");
    let refused = |line: u32, name: &str| {
        format!(
            "{line}: rule[1].lookup: no [[eni]] is matched by \"{name}\"; accepted: the name or MAC that an [[eni]] is matched by, \"main\", or a table's number"
        )
    };
    let by_mac = "[[eni]]\nmatch={mac='02:00:00:00:00:01'}\n";
    let cases = [
        (rule("eth1"), refused(3, "eth1")),
        (eni("eth1", "") + &rule("eth2"), refused(6, "eth2")),
        (by_mac.to_owned() + &rule("eth1"), refused(5, "eth1")),
        (by_mac.to_owned() + &rule("02:00:00:00:00:0A"), refused(5, "02:00:00:00:00:0a")),
        // Not another one about the name that the wrong match would have had.
        (
            "[[eni]]\nmatch={name='e/1'}\n".to_owned() + &rule("e/1"),
            "2: eni[1].match.name: \"e/1\" is not an interface name; accepted: interface names such as \"eth0\", 1 to 15 characters".to_owned(),
        ),
    ];
    check_file(&cases, str::to_owned);
}

#[test]
fn more_than_the_priorities_and_marks_have_room_for_is_refused() {
    let enis = |count: u32, rest: &str| -> String {
        (1..=count).map(|n| eni(&format!("eth{n}"), rest)).collect()
    };
    let rules = |count: usize, selector: &str| {
        format!("[[rule]]\n{selector}\nlookup='main'\n").repeat(count)
    };
    let too_many = |count: u32| {
        format!(
            "rule: {count} rules, each source with each destination and IPv4 and IPv6 counted; accepted: at most 300"
        )
    };
    let prefixes = |count: u32| -> String {
        let listed: Vec<_> = (0..count).map(|n| format!("'10.0.{n}.0/24'")).collect();
        listed.join(",")
    };
    let cases = [
        (enis(201, ""), "601: eni: 201 interfaces; accepted: at most 200".to_owned()),
        (
            enis(17, "weight=1"),
            "51: eni[17].weight: 17 interfaces with a weight; accepted: at most 16 with routing.mark_mask = 0xff000000".to_owned(),
        ),
        (
            "[routing]\nmark_mask=0xf\n".to_owned() + &enis(16, "weight=1"),
            "50: eni[16].weight: 16 interfaces with a weight; accepted: at most 15 with routing.mark_mask = 0xf".to_owned(),
        ),
        (rules(301, "source=['10.0.0.0/8']"), format!("901: {}", too_many(301))),
        (rules(151, "protocol='gre'"), format!("451: {}", too_many(302))),
        (
            rules(1, &format!("source=[{}]\ndestination=[{}]", prefixes(43), prefixes(7))),
            format!("1: {}", too_many(301)),
        ),
    ];
    check_file(&cases, str::to_owned);
    let most = enis(200, "") + &rules(150, "protocol='gre'");
    assert_eq!(
        lines(File::parse(&most, Path::new("t.toml")).err()),
        [""; 0]
    );
}

#[test]
fn a_file_of_interfaces_alone_is_no_gateways() {
    let missing = [
        "1: gateway: missing; accepted: section [gateway] with interfaces = [\"eth0\"]",
        "1: snat: missing; accepted: at least one section [[snat]] with source = [\"172.16.0.0/16\"]",
    ];
    let text = eni("eth1", "");
    assert_eq!(
        lines(Config::parse(&text, Path::new("t.toml")).err()),
        missing
    );
    assert_eq!(lines(File::parse("", Path::new("t.toml")).err()), missing);
}

#[test]
fn half_a_gateway_beside_interfaces_is_refused() {
    let no_gateway =
        "1: gateway: missing; accepted: section [gateway] with interfaces = [\"eth0\"]";
    check_file(&[(ENTRY, no_gateway)], |entry| {
        entry.to_owned() + &eni("eth1", "")
    });
    let no_entry = "1: snat: missing; accepted: at least one section [[snat]] with source = [\"172.16.0.0/16\"]";
    check_file(&[(GATEWAY, no_entry)], |gateway| {
        gateway.to_owned() + &eni("eth1", "")
    });
    let half = [
        "[[bypass]]\ndestination=['10.0.0.0/8']\n",
        "[[forward]]\nprotocol='tcp'\nexternal='9.9.9.9:9'\ninternal='10.0.0.1:1'\n",
        "[timeouts]\n",
        "[limits]\n",
        "[answers]\n",
        "[protocols]\n",
    ];
    for section in half {
        let text = section.to_owned() + &eni("eth1", "");
        let complaints = lines(File::parse(&text, Path::new("t.toml")).err());
        assert_eq!(complaints, [no_gateway, no_entry], "for: {text}");
    }
}

#[test]
fn wrong_interfaces_of_a_gateway_are_refused_with_all_else() {
    let cases = [(
        "[[eni]]\nmatch={name='eth1'}\ntable=254",
        "7: eni[1].table: 254 is the kernel's own; accepted: 1 to 4294967295 without 253 to 255, which are the kernel's",
    )];
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}{wrong}"));
}

#[test]
fn the_name_on_the_command_line_is_the_gateways_or_without_one_the_instances() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interfaces-alone.toml");
    fs::write(&file, eni("eth1", "")).unwrap();
    assert_eq!(File::load(&file).unwrap().name, "default");
    assert_eq!(File::load_for(&file, Some("blue")).unwrap().name, "blue");
    fs::write(&file, format!("{GATEWAY}name='red'\n{ENTRY}")).unwrap();
    assert_eq!(File::load(&file).unwrap().name, "red");
    assert_eq!(File::load_for(&file, Some("red")).unwrap().name, "red");
    let other = File::load_for(&file, Some("blue")).unwrap_err().to_string();
    assert!(other.contains("is for instance \"red\""), "{other}");
    fs::remove_file(file).unwrap();
}
