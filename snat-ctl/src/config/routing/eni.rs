//! `[[eni]]`, each by itself.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{
    super::{
        report::Report,
        section::Section,
        sections::Placed,
        values::{interface, number},
    },
    Eni, Match, NextHop, prefixes, values,
};

const KNOWN: [&str; 8] = [
    "match",
    "table",
    "gateway",
    "gateway6",
    "default_metric",
    "prefixes",
    "mark",
    "weight",
];
const MATCH: &str = "{ name = \"eth1\" } or { mac = \"02:00:00:00:00:01\" }";
const GATEWAY: &str = "\"auto\", \"none\" or an IPv4 address";
const GATEWAY6: &str = "\"auto\", \"none\" or an IPv6 address";
const HEAVIEST: u32 = 1000;

/// One `[[eni]]`, and where it and its prefixes stand.
pub(super) struct Entry<'a> {
    pub(super) eni: Eni,
    pub(super) section: Section<'a>,
    pub(super) prefixes: Placed<IpNet>,
}

/// All whose interface is said.
pub(super) fn enis<'a>(root: &Section<'a>, report: &mut Report<'_>) -> Vec<Entry<'a>> {
    let sections = root.tables("eni", &KNOWN, report);
    sections
        .into_iter()
        .filter_map(|section| entry(section, report))
        .collect()
}

fn entry<'a>(section: Section<'a>, report: &mut Report<'_>) -> Option<Entry<'a>> {
    let matcher = matcher(&section, report);
    let gateway = section.optional(
        "gateway",
        |value| values::next_hop::<Ipv4Addr>(value, GATEWAY),
        report,
    );
    let gateway6 = section.optional(
        "gateway6",
        |value| values::next_hop::<Ipv6Addr>(value, GATEWAY6),
        report,
    );
    let hops = (
        gateway.unwrap_or(NextHop::Auto),
        gateway6.unwrap_or(NextHop::Auto),
    );
    let mut amount = |name, most| section.optional(name, |value| number(value, 1..=most), report);
    let default_metric = amount("default_metric", u32::MAX);
    let weight = amount("weight", HEAVIEST);
    let table = section.optional("table", values::table, report);
    let mark = mark(&section, report);
    let prefixes = prefixes("prefixes", &section, report);
    if hops == (NextHop::None, NextHop::None) {
        refuse_default_routes(&section, report);
    }
    let eni = Eni {
        matcher: matcher?,
        table,
        gateway: hops.0,
        gateway6: hops.1,
        default_metric,
        prefixes: prefixes.iter().map(|prefix| prefix.value).collect(),
        mark,
        weight,
        line: section.line,
    };
    Some(Entry {
        eni,
        section,
        prefixes,
    })
}

fn matcher(section: &Section<'_>, report: &mut Report<'_>) -> Option<Match> {
    let before = report.count();
    let matcher =
        section
            .require("match", MATCH, report)?
            .section(&["name", "mac"], MATCH, report)?;
    if matcher.has("name") == matcher.has("mac") && report.count() == before {
        let what = format!("needs either name or mac; accepted: {MATCH}");
        section.refuse("match", what, report);
    }
    let name = matcher.optional("name", interface, report);
    let mac = matcher.optional("mac", values::mac, report);
    name.map(Match::Name).or(mac.map(Match::Mac))
}

/// A mark of 0 is what packets have that nobody marked.
fn mark(section: &Section<'_>, report: &mut Report<'_>) -> Option<(u32, u32)> {
    let mark = section.optional("mark", values::mark, report)?;
    if mark.0 == 0 {
        let what = "0 is the mark of packets that nobody marked; accepted: another one";
        section.refuse("mark", what, report);
        return None;
    }
    Some(mark)
}

/// Both keys need a default route, and `gateway` and `gateway6` say that there is none.
fn refuse_default_routes(section: &Section<'_>, report: &mut Report<'_>) {
    for name in ["default_metric", "weight"] {
        if section.has(name) {
            let what = "there is no default route, since gateway and gateway6 are \"none\"; accepted: a \
                        gateway, or no such key";
            section.refuse(name, what, report);
        }
    }
}
