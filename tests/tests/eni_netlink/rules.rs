//! Rules.

use std::slice::from_ref;

use anyhow::{Context as _, Result};
use snat_ctl::{
    eni::{Action, Family, PROTOCOL, Rule},
    netlink::{add_rule, delete_rule, rules},
};
use snat_tests::netns::Netns;

use crate::host::{host, ip, of, shown};

const THEIRS: u8 = 99;
const OTHERS: u8 = 98;

#[test]
fn every_field_of_a_rule_is_what_ip_makes_of_its_words() -> Result<()> {
    let host = host()?;
    for rule in samples() {
        add(&host, &rule)?;
        ip(&host, rule.family, &format!("rule add {rule}"), THEIRS)?;
        let list = shown(&host, rule.family, "rule show")?;
        assert_eq!(of(&list, PROTOCOL), of(&list, THEIRS), "{rule}");
        let ours = ours(&host)?;
        assert_eq!(ours, from_ref(&rule), "{rule}");
        delete(&host, &rule)?;
        ip(&host, rule.family, &format!("rule delete {rule}"), THEIRS)?;
    }
    Ok(())
}

#[test]
fn foreign_rules_of_the_same_shape_stay_before_and_behind_ours() -> Result<()> {
    let host = host()?;
    for rule in samples() {
        let theirs = |verb: &str, protocol| {
            let line = format!("rule {verb} {rule}");
            ip(&host, rule.family, &line, protocol)
        };
        let list = || shown(&host, rule.family, "rule show");
        theirs("add", THEIRS)?;
        theirs("add", OTHERS)?;
        let without_ours = list()?;
        theirs("delete", OTHERS)?;
        add(&host, &rule)?;
        theirs("add", OTHERS)?;
        assert_eq!(list()?.len(), without_ours.len() + 1, "{rule}");
        delete(&host, &rule)?;
        assert_eq!(list()?, without_ours, "{rule}");
        theirs("delete", THEIRS)?;
        theirs("delete", OTHERS)?;
    }
    Ok(())
}

#[test]
fn a_rule_with_something_we_do_not_speak_is_never_ours() -> Result<()> {
    let host = host()?;
    for family in Family::ALL {
        let plain = rule(family);
        let mut more = vec!["uidrange 1-2", "tos 0x10", "tun_id 7", "suppress_ifgroup 3"];
        if family == Family::Inet {
            more.push("realms 3/4");
        }
        for words in more {
            let line = format!("rule add {words} {plain}");
            ip(&host, family, &line, PROTOCOL)?;
            let there = ours(&host)?;
            assert_eq!(there.len(), 1, "{line}");
            assert_ne!(there[0], plain, "{line}");
            assert_eq!(there[0].unknown, [words.to_owned()], "{line}");
            let refusal = delete(&host, &there[0]).expect_err("it is not ours to delete");
            assert!(refusal.to_string().contains("not snat-ctl's"), "{refusal}");
            ip(&host, family, "rule delete priority 20400", PROTOCOL)?;
        }
        for words in ["goto 30000", "l3mdev"] {
            let line = format!("rule add from all priority 20400 {words}");
            ip(&host, family, &line, PROTOCOL)?;
            let there = ours(&host)?;
            assert_eq!(there[0].unknown, [words.to_owned()], "{line}");
            ip(&host, family, "rule delete priority 20400", PROTOCOL)?;
        }
    }
    Ok(())
}

#[test]
fn a_rule_that_is_wider_than_another_goes_alone() -> Result<()> {
    let host = host()?;
    for family in Family::ALL {
        let wide = rule(family);
        let mut narrow = wide.clone();
        narrow.source = Some(sample_prefix(family));
        add(&host, &narrow)?;
        add(&host, &wide)?;
        delete(&host, &wide)?;
        assert_eq!(ours(&host)?, from_ref(&narrow));
        let gone = delete(&host, &wide).expect_err("it is not there any more");
        assert!(is_gone(&gone), "{gone:#}");
        assert_eq!(ours(&host)?, from_ref(&narrow));
        delete(&host, &narrow)?;
    }
    Ok(())
}

fn is_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<snat_ctl::netlink::NetlinkError>()
        .is_some_and(snat_ctl::netlink::NetlinkError::is_gone)
}

#[test]
fn the_rules_of_the_kernel_are_what_they_are() -> Result<()> {
    let host = host()?;
    let kernel = |family, priority, table| Rule::new(family, priority, 2, Action::Lookup(table));
    assert_eq!(
        host.enter(|| Ok(rules()?))?,
        [
            kernel(Family::Inet, 0, 255),
            kernel(Family::Inet, 32_766, 254),
            kernel(Family::Inet, 32_767, 253),
            kernel(Family::Inet6, 0, 255),
            kernel(Family::Inet6, 32_766, 254),
        ]
    );
    Ok(())
}

/// Each with one more field, of both families, and the actions.
fn samples() -> Vec<Rule> {
    let mut all = Vec::new();
    for family in Family::ALL {
        let plain = rule(family);
        let changes: [fn(&mut Rule); 13] = [
            |_| {},
            |rule| rule.source = Some(sample_prefix(rule.family)),
            |rule| rule.destination = Some(sample_prefix(rule.family)),
            |rule| rule.iif = Some("eth1".to_owned()),
            |rule| rule.oif = Some("eth0".to_owned()),
            |rule| rule.mark = Some((0x10, 0xff)),
            |rule| rule.mark = Some((0x10, u32::MAX)),
            |rule| rule.mark = Some((0, 0xff)),
            |rule| rule.ip_protocol = Some(6),
            |rule| rule.source_ports = Some((1024, 2047)),
            |rule| rule.destination_ports = Some((443, 443)),
            |rule| rule.suppress_prefix_length = Some(0),
            |rule| rule.action = Action::Lookup(254),
        ];
        for change in changes {
            let mut rule = plain.clone();
            change(&mut rule);
            all.push(rule);
        }
        for action in [Action::Unreachable, Action::Prohibit, Action::Blackhole] {
            all.push(Rule::new(family, 20_400, PROTOCOL, action));
        }
        let mut inverted = plain.clone();
        inverted.inverted = true;
        inverted.source = Some(sample_prefix(family));
        all.push(inverted);
        let mut full = plain;
        changes[1..12].iter().for_each(|change| change(&mut full));
        all.push(full);
    }
    all
}

fn rule(family: Family) -> Rule {
    Rule::new(family, 20_400, PROTOCOL, Action::Lookup(1001))
}

fn sample_prefix(family: Family) -> ipnet::IpNet {
    let text = match family {
        Family::Inet => "172.16.20.193/32",
        Family::Inet6 => "2001:db8:20::/56",
    };
    text.parse().expect("a prefix")
}

fn add(host: &Netns, rule: &Rule) -> Result<()> {
    host.enter(|| add_rule(rule).with_context(|| format!("adding {rule}")))
}

fn delete(host: &Netns, rule: &Rule) -> Result<()> {
    host.enter(|| Ok(delete_rule(rule)?))
}

fn ours(host: &Netns) -> Result<Vec<Rule>> {
    let all = host.enter(|| Ok(rules()?))?;
    Ok(all
        .into_iter()
        .filter(|rule| rule.protocol == PROTOCOL)
        .collect())
}
