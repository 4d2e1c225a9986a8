//! `[routing]`, `[[eni]]` and `[[rule]]`.

use snat_ctl::{
    config::{AccessRule, Eni, Match, NextHop, Routing, RuleVerdict},
    eni::Family,
};

use super::{CONTRACT, parse_file};

const BALANCED: &str =
    "[[eni]]\nmatch={name='eth0'}\nweight=1\n[[eni]]\nmatch={name='eth1'}\nweight=3\n";

fn routing(text: &str) -> Routing {
    parse_file(text).routing.expect("policy routes")
}

fn rule(rest: &str) -> AccessRule {
    let text = format!("[[eni]]\nmatch={{name='eth1'}}\n[[rule]]\n{rest}");
    routing(&text).rules.remove(0)
}

#[test]
fn the_contracts_sample_has_a_gateway_and_an_interface() {
    let file = parse_file(CONTRACT);
    assert!(file.gateway.is_some());
    let eni = Eni {
        matcher: Match::Name("eth1".to_owned()),
        table: Some(1001),
        gateway: NextHop::Addr("172.16.20.253".parse().unwrap()),
        gateway6: NextHop::Auto,
        default_metric: Some(200),
        prefixes: Vec::new(),
        mark: None,
        weight: None,
        line: 34,
    };
    let wanted = Routing {
        enis: vec![eni],
        ..Routing::default()
    };
    assert_eq!(file.routing, Some(wanted));
}

#[test]
fn a_file_has_a_gateway_or_policy_routes_or_both() {
    let gateway = "[gateway]\nname='blue'\ninterfaces=['eth0']\n[[snat]]\nsource=['10.0.0.0/8']\n";
    let file = parse_file(gateway);
    assert_eq!((file.name.as_str(), file.routing), ("blue", None));
    for alone in [
        "[[eni]]\nmatch={name='eth1'}",
        "[[rule]]\nprotocol='gre'\naction='blackhole'",
        "[routing]\n[[eni]]\nmatch={name='eth1'}",
    ] {
        let file = parse_file(alone);
        assert_eq!((file.name.as_str(), file.gateway), ("default", None));
        assert!(file.routing.is_some());
        assert_eq!(file.warnings, [""; 0], "for: {alone}");
    }
}

#[test]
fn what_is_left_out_of_policy_routes_is_the_default() {
    let Routing {
        priority,
        mark_mask,
        bypass,
        enis,
        rules,
    } = routing("[[eni]]\nmatch={mac='02:00:00:00:00:AA'}");
    assert_eq!((priority, mark_mask), (20_000, 0xff00_0000));
    assert_eq!((bypass.len(), rules.len()), (0, 0));
    assert_eq!(enis[0].matcher, Match::Mac([2, 0, 0, 0, 0, 0xaa]));
    assert_eq!(enis[0].matcher.to_string(), "02:00:00:00:00:aa");
    let hops = (enis[0].gateway, enis[0].gateway6);
    assert_eq!(hops, (NextHop::Auto, NextHop::Auto));
}

#[test]
fn policy_routes_mean_what_they_say() {
    let text = "[routing]\npriority=31_000\nmark_mask=0xf0\nbypass=['10.8.0.0/16','2001:db8::/32']\n\
                [[eni]]\nmatch={name='eth1'}\ngateway='none'\ngateway6='fe80::1'\n\
                prefixes=['172.16.21.0/28','2001:db8:1::/80']\nmark='0x101/0xf0f'\nweight=1000\n\
                [[eni]]\nmatch={name='eth2'}\nweight=1";
    let routing = routing(text);
    assert_eq!((routing.priority, routing.mark_mask), (31_000, 0xf0));
    let texts = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&routing.bypass), ["10.8.0.0/16", "2001:db8::/32"]);
    let eni = &routing.enis[0];
    assert_eq!(eni.gateway, NextHop::None);
    assert_eq!(eni.gateway6, NextHop::Addr("fe80::1".parse().unwrap()));
    assert_eq!(texts(&eni.prefixes), ["172.16.21.0/28", "2001:db8:1::/80"]);
    assert_eq!(eni.mark, Some((0x101, 0xf0f)));
    assert_eq!(eni.weight, Some(1000));
    assert_eq!(eni.line, 5);
}

#[test]
fn access_rules_mean_what_they_say() {
    let full = "source=['172.16.20.0/24']\ndestination=['203.0.113.0/24']\ninterface='lo'\n\
                protocol='udp-lite'\nsource_ports='1024-65534'\ndestination_ports=443\nmark='1/0xff'\n\
                lookup='eth1'";
    let wanted = AccessRule {
        source: vec!["172.16.20.0/24".parse().unwrap()],
        destination: vec!["203.0.113.0/24".parse().unwrap()],
        interface: Some("lo".to_owned()),
        protocol: Some(136),
        source_ports: Some((1024, 65_534)),
        destination_ports: Some((443, 443)),
        mark: Some((1, 0xff)),
        verdict: RuleVerdict::Eni("eth1".to_owned()),
        line: 3,
    };
    assert_eq!(rule(full), wanted);
    for (text, protocol) in [("'tcp'", 6), ("'icmpv6'", 58), ("'gre'", 47), ("255", 255)] {
        let rule = rule(&format!("protocol={text}\nlookup='main'"));
        assert_eq!(rule.protocol, Some(protocol));
    }
    for (text, verdict) in [
        ("lookup='main'", RuleVerdict::Table(254)),
        ("lookup=4294967295", RuleVerdict::Table(u32::MAX)),
        ("action='unreachable'", RuleVerdict::Unreachable),
        ("action='prohibit'", RuleVerdict::Prohibit),
        ("action='blackhole'", RuleVerdict::Blackhole),
    ] {
        assert_eq!(rule(&format!("protocol='gre'\n{text}")).verdict, verdict);
    }
    let by_mac = "[[eni]]\nmatch={mac='02:00:00:00:00:0a'}\n\
                  [[rule]]\nprotocol='gre'\nlookup='02:00:00:00:00:0A'";
    let verdict = RuleVerdict::Eni("02:00:00:00:00:0a".to_owned());
    assert_eq!(routing(by_mac).rules[0].verdict, verdict);
}

#[test]
fn a_rule_is_one_of_the_kernels_for_each_pair_of_prefixes_of_a_family() {
    let shown = |rest: &str| -> Vec<String> {
        let rule = rule(&format!("{rest}\nprotocol='gre'\nlookup='eth1'"));
        let side = |net: Option<ipnet::IpNet>| net.map_or("all".to_owned(), |net| net.to_string());
        let selectors = rule.selectors();
        selectors
            .map(|(family, source, destination)| {
                assert!(
                    [source, destination]
                        .iter()
                        .flatten()
                        .all(|net| Family::of(net.addr()) == family)
                );
                format!(
                    "{} {} to {}",
                    family.option(),
                    side(source),
                    side(destination)
                )
            })
            .collect()
    };
    assert_eq!(shown(""), ["-4 all to all", "-6 all to all"]);
    assert_eq!(shown("source=['10.0.0.0/8']"), ["-4 10.0.0.0/8 to all"]);
    assert_eq!(
        shown(
            "source=['2001:db8::/32','10.0.0.0/8']\ndestination=['1.0.0.0/8','2.0.0.0/8','::/0']"
        ),
        [
            "-4 10.0.0.0/8 to 1.0.0.0/8",
            "-4 10.0.0.0/8 to 2.0.0.0/8",
            "-6 2001:db8::/32 to all",
        ]
    );
}

#[test]
fn a_whole_mark_leaves_out_the_bits_that_balancing_sets() {
    let marked = "[[eni]]\nmatch={name='eth2'}\nmark=0x101\n[[rule]]\nmark=0\nlookup='main'";
    let alone = routing(marked);
    assert_eq!(alone.enis[0].mark, Some((0x101, u32::MAX)));
    assert_eq!(alone.rules[0].mark, Some((0, u32::MAX)));
    let balanced = routing(&(BALANCED.to_owned() + marked));
    assert_eq!(balanced.enis[2].mark, Some((0x101, 0x00ff_ffff)));
    assert_eq!(balanced.rules[0].mark, Some((0, 0x00ff_ffff)));
}

#[test]
fn policy_routes_without_the_effect_that_was_meant_are_warned_about() {
    let eni = "[[eni]]\nmatch={name='eth1'}\n";
    for (text, warning) in [
        (
            "[routing]".to_owned(),
            "1: routing: has no effect without [[eni]] or [[rule]]",
        ),
        (
            eni.to_owned() + "weight=1",
            "3: eni[1].weight: has no effect: no other [[eni]] has a weight, so this one takes every new connection",
        ),
        (
            "[[rule]]\nlookup='main'".to_owned(),
            "1: rule[1]: matches every packet: no [[rule]] behind it and no [[eni]] is asked",
        ),
        (
            "[[rule]]\nsource=['10.0.0.0/8','::/0']\ndestination=['1.0.0.0/8']\nlookup='main'"
                .to_owned(),
            "2: rule[1].source[2]: ::/0 matches nothing: destination has no prefix of its family",
        ),
    ] {
        assert_eq!(parse_file(&text).warnings, [format!("t.toml:{warning}")]);
    }
    assert_eq!(parse_file(BALANCED).warnings, [""; 0]);
}

#[test]
fn warnings_of_gateway_and_policy_routes_are_gathered_once_in_the_files_order() {
    let text = format!("{CONTRACT}weight = 1\n");
    let text = text.replace("flows_per_source = 0", "flows_per_source = 1");
    let file = parse_file(&text);
    let places: Vec<_> = file
        .warnings
        .iter()
        .map(|warning| warning.split(": ").nth(1))
        .collect();
    assert_eq!(
        places,
        [Some("limits.flows_per_source"), Some("eni[1].weight")]
    );
    assert_eq!(super::parse(&text).warnings, file.warnings);
}
