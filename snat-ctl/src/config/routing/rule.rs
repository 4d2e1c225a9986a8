//! `[[rule]]`, each by itself.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use toml::de::DeValue;

use super::{
    super::{
        ports::one_range,
        report::Report,
        section::{Item, Section},
        sections::{Placed, distinct},
        values::{NET, choice, interface, net},
    },
    AccessRule, RuleVerdict, mac_text, values,
};
use crate::eni::{Family, MAIN};

/// The last two say what becomes of a packet, the others which ones.
const KNOWN: [&str; 9] = [
    "source",
    "destination",
    "interface",
    "protocol",
    "source_ports",
    "destination_ports",
    "mark",
    "lookup",
    "action",
];
/// `fib_rule_port_range_valid`: the end is below 65535.
const LAST_PORT: u16 = 65_534;
const PORTS: &str = "a port such as 443 or a range such as \"1024-65534\", of ports 1 to 65534 (the kernel's rules take no 65535)";
/// TCP, UDP, SCTP, UDP-Lite and DCCP.
const WITH_PORTS: [u8; 5] = [6, 17, 132, 136, 33];

/// One `[[rule]]` and where it stands.
pub(super) struct Entry<'a> {
    pub(super) rule: AccessRule,
    pub(super) section: Section<'a>,
}

/// All that say what becomes of a packet.
pub(super) fn rules<'a>(root: &Section<'a>, report: &mut Report<'_>) -> Vec<Entry<'a>> {
    let sections = root.tables("rule", &KNOWN, report);
    sections
        .into_iter()
        .filter_map(|section| {
            let rule = rule(&section, report)?;
            Some(Entry { rule, section })
        })
        .collect()
}

fn rule(section: &Section<'_>, report: &mut Report<'_>) -> Option<AccessRule> {
    let mut prefixes = |name| {
        let field = section.get(name, report);
        field.map_or_else(Vec::new, |field| field.list(NET, net, report))
    };
    let (source, destination) = (prefixes("source"), prefixes("destination"));
    one_family(section, &source, &destination, report);
    let mut ports = |name| {
        let range = section.optional(name, kernel_range, report)?;
        Some((*range.start(), *range.end()))
    };
    let (source_ports, destination_ports) = (ports("source_ports"), ports("destination_ports"));
    let protocol = protocol(section, report);
    let verdict = verdict(section, report);
    warn_of_everything(section, report);
    Some(AccessRule {
        source: distinct(source, report),
        destination: distinct(destination, report),
        interface: section.optional("interface", interface, report),
        protocol,
        source_ports,
        destination_ports,
        mark: section.optional("mark", values::mark, report),
        verdict: verdict?,
        line: section.line,
    })
}

/// A prefix needs one of its own family on the other side, or no prefix at all.
fn one_family(
    section: &Section<'_>,
    source: &Placed<IpNet>,
    destination: &Placed<IpNet>,
    report: &mut Report<'_>,
) {
    if source.is_empty() || destination.is_empty() {
        return;
    }
    let family = |item: &Item<IpNet>| Family::of(item.value.addr());
    for (list, others, name) in [
        (source, destination, "destination"),
        (destination, source, "source"),
    ] {
        let is_alone =
            |item: &&Item<IpNet>| others.iter().all(|other| family(other) != family(item));
        let alone: Vec<_> = list.iter().filter(is_alone).collect();
        if alone.len() == list.len() {
            let what = "no prefix is of the same family as one in source; accepted: IPv4 with IPv4, or \
                        IPv6 with IPv6";
            section.refuse("destination", what, report);
            return;
        }
        for Item { value, key, line } in alone {
            let what = format!("{value} matches nothing: {name} has no prefix of its family");
            report.warn(*line, key, what);
        }
    }
}

fn protocol(section: &Section<'_>, report: &mut Report<'_>) -> Option<u8> {
    let protocol = section.optional("protocol", values::protocol, report);
    let is_wrong = protocol.is_none() && section.has("protocol");
    let has_ports = protocol.is_some_and(|protocol| WITH_PORTS.contains(&protocol));
    if !is_wrong && !has_ports {
        for name in ["source_ports", "destination_ports"] {
            if section.has(name) {
                let what = "needs a protocol with ports; accepted: protocol tcp, udp, udp-lite, sctp or dccp \
                            beside it";
                section.refuse(name, what, report);
            }
        }
    }
    protocol
}

fn kernel_range(value: &DeValue<'_>) -> Result<RangeInclusive<u16>, String> {
    let range = one_range(value, PORTS)?;
    if *range.end() > LAST_PORT {
        return Err(format!(
            "{} is out of range; accepted: {PORTS}",
            range.end()
        ));
    }
    Ok(range)
}

fn verdict(section: &Section<'_>, report: &mut Report<'_>) -> Option<RuleVerdict> {
    if section.has("lookup") == section.has("action") {
        let what =
            "needs either lookup or action; accepted: lookup = \"eth1\", or action = \"prohibit\"";
        report.wrong(section.line, &section.key, what);
    }
    let lookup = section.optional("lookup", lookup, report);
    let action = section.optional("action", action, report);
    lookup.or(action)
}

fn lookup(value: &DeValue<'_>) -> Result<RuleVerdict, String> {
    match value {
        DeValue::String(text) if text == "main" => Ok(RuleVerdict::Table(MAIN)),
        DeValue::String(text) => Ok(RuleVerdict::Eni(
            values::parse_mac(text).map_or_else(|| text.to_string(), mac_text),
        )),
        other => values::any_table(other, values::LOOKUP).map(RuleVerdict::Table),
    }
}

fn action(value: &DeValue<'_>) -> Result<RuleVerdict, String> {
    let actions = [
        ("unreachable", &RuleVerdict::Unreachable),
        ("prohibit", &RuleVerdict::Prohibit),
        ("blackhole", &RuleVerdict::Blackhole),
    ];
    choice(value, &actions).cloned()
}

/// Rules with a `from` stand behind these.
fn warn_of_everything(section: &Section<'_>, report: &mut Report<'_>) {
    let [selectors @ .., _, _] = KNOWN;
    if !selectors.iter().any(|name| section.has(name)) {
        let what = "matches every packet: no [[rule]] behind it and no [[eni]] is asked";
        report.warn(section.line, &section.key, what);
    }
}
