//! A file for netplan.
//!
//! Written by hand: it is three levels of plain keys, and the crates that write YAML are archived or change hands. All
//! text is quoted; YAML would take some addresses and names for numbers.

use std::fmt::Write as _;

use super::{File, Intent, Rendered, one_line, owner};
use crate::eni::{Action, Route, RouteKind, Rule};

/// netplan 0.106 takes the last number for "not given" and hands on what is above this one as negative.
const LARGEST: u32 = 0x7fff_ffff;

const HEAD: &str = r#"# Policy routes of network interfaces (ENIs), written by `snat-ctl eni render --format netplan`.
# netplan adds this to what the other files in /etc/netplan say of the same interfaces (addresses, DHCP): if they call
# an interface otherwise, use their name for it here. No other file may have `routes` or `routing-policy` for the same
# interface: netplan 0.105 drops one of them.
# `chmod 600`, then `netplan try`.
"#;

pub(super) fn render(intent: &Intent<'_>) -> Rendered {
    let mut left_out = Vec::new();
    let mut body = String::new();
    for interface in intent.interfaces {
        let _ = writeln!(body, "    {:?}:\n      routes:", interface.name);
        for (route, why) in owner::routes(intent, interface) {
            entry(&mut body, why, &of_route(route));
        }
        let rules = owner::rules(intent, interface).filter(|(rule, _)| {
            let reason = unspeakable(rule);
            left_out.extend(reason.map(|reason| super::left_out(rule, reason)));
            reason.is_none()
        });
        let mut policy = String::new();
        rules.for_each(|(rule, why)| entry(&mut policy, why, &of_rule(rule)));
        if !policy.is_empty() {
            let _ = write!(body, "      routing-policy:\n{policy}");
        }
    }
    let mut text = HEAD.to_owned();
    for said in &left_out {
        let _ = writeln!(text, "# {said}");
    }
    let _ = write!(text, "network:\n  version: 2\n  ethernets:\n{body}");
    Rendered {
        files: vec![File {
            path: "/etc/netplan/60-snat.yaml".to_owned(),
            text,
            mode: 0o600,
        }],
        left_out,
    }
}

type Pairs = Vec<(&'static str, Option<String>)>;

fn of_route(route: &Route) -> Pairs {
    let kind = match route.kind {
        RouteKind::Unicast | RouteKind::Other(_) => None,
        RouteKind::Unreachable => Some("unreachable"),
        RouteKind::Prohibit => Some("prohibit"),
        RouteKind::Blackhole => Some("blackhole"),
    };
    let metric = route.metric.min(LARGEST);
    vec![
        ("to", quoted(Some(route.destination))),
        ("type", kind.map(str::to_owned)),
        ("via", quoted(route.gateway)),
        ("on-link", route.onlink.then(|| "true".to_owned())),
        ("scope", (route.scope == 253).then(|| "link".to_owned())),
        ("from", quoted(route.source)),
        ("metric", (metric != 0).then(|| metric.to_string())),
        ("table", Some(route.table.to_string())),
    ]
}

fn of_rule(rule: &Rule) -> Pairs {
    let table = match rule.action {
        Action::Lookup(table) => Some(table.to_string()),
        _ => None,
    };
    // One without either would be of IPv4.
    let everything = rule.source.is_none().then(|| rule.family.everything());
    vec![
        ("from", quoted(rule.source)),
        ("to", quoted(rule.destination.or(everything))),
        ("mark", rule.mark.map(|(mark, _)| mark.to_string())),
        ("table", table),
        ("priority", Some(rule.priority.to_string())),
    ]
}

fn quoted(value: Option<impl std::fmt::Display>) -> Option<String> {
    value.map(|value| format!("\"{value}\""))
}

fn entry(text: &mut String, why: &str, pairs: &Pairs) {
    let _ = writeln!(text, "        # {}", one_line(why));
    let given = pairs
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)));
    for (index, (key, value)) in given.enumerate() {
        let lead = if index == 0 { "- " } else { "  " };
        let _ = writeln!(text, "        {lead}{key}: {value}");
    }
}

/// What netplan has no key for.
fn unspeakable(rule: &Rule) -> Option<&'static str> {
    let words = [
        (
            !matches!(rule.action, Action::Lookup(_)),
            "netplan's rules can only look in a table",
        ),
        (rule.inverted, "netplan has no key for \"not\""),
        (
            rule.iif.is_some() || rule.oif.is_some(),
            "netplan has no key for interfaces of rules",
        ),
        (
            rule.ip_protocol.is_some(),
            "netplan has no key for protocols",
        ),
        (
            rule.source_ports.is_some() || rule.destination_ports.is_some(),
            "netplan has no key for ports",
        ),
        (
            rule.suppress_prefix_length.is_some(),
            "netplan has no key for suppress_prefixlength",
        ),
        (
            rule.mark
                .is_some_and(|(mark, mask)| mark == 0 || mask != u32::MAX),
            "netplan has no key for the mask of a mark, and takes mark 0 for none",
        ),
    ];
    words
        .into_iter()
        .find_map(|(holds, reason)| holds.then_some(reason))
}
