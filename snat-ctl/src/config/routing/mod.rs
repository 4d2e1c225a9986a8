//! Sections `[routing]`, `[[eni]]` and `[[rule]]`: which interface a packet leaves by.
//!
//! `eni` and `rule` check each section by itself, `agree` what they must not say together, `values` single values;
//! `model` is what comes out.

mod agree;
mod eni;
mod model;
mod rule;
mod values;

use ipnet::IpNet;

pub use self::model::{AccessRule, Eni, Match, NextHop, Routing, RuleVerdict, mac_text};
use super::{
    report::Report,
    section::Section,
    sections::{Placed, distinct},
    values::{NET, net, number},
};

/// The sections that are read here.
pub(super) const SECTIONS: [&str; 3] = ["routing", "eni", "rule"];
/// All thousand end before 32766, where the kernel's rule for the main table is.
const LAST_PRIORITY: u32 = 31_000;

/// What the file says of policy routes; `None` if nothing.
pub(super) fn routing(root: &Section<'_>, report: &mut Report<'_>) -> Option<Routing> {
    if !SECTIONS.iter().any(|section| root.has(section)) {
        return None;
    }
    let common = common(root, report);
    let before = report.count();
    let mut enis = eni::enis(root, report);
    let are_enis_known = report.count() == before;
    let mut rules = rule::rules(root, report);
    if !root.has("eni") && !root.has("rule") {
        root.warn(
            "routing",
            "has no effect without [[eni]] or [[rule]]",
            report,
        );
    }
    agree::enis(&enis, report);
    agree::weights(&enis, common.mark_mask, report);
    agree::marks(&mut enis, &mut rules, common.mark_mask, report);
    agree::rules(&rules, report);
    if are_enis_known {
        agree::lookups(&enis, &rules, report);
    }
    Some(Routing {
        enis: enis.into_iter().map(|entry| entry.eni).collect(),
        rules: rules.into_iter().map(|entry| entry.rule).collect(),
        ..common
    })
}

/// Section `[routing]`, which may be left out.
fn common(root: &Section<'_>, report: &mut Report<'_>) -> Routing {
    let mut routing = Routing::default();
    let known = ["priority", "mark_mask", "bypass"];
    let Some(section) = root
        .get("routing", report)
        .and_then(|field| field.section(&known, "section [routing]", report))
    else {
        return routing;
    };
    let priority = section.optional("priority", |value| number(value, 1..=LAST_PRIORITY), report);
    routing.priority = priority.unwrap_or(routing.priority);
    let mark_mask = section.optional("mark_mask", values::mark_mask, report);
    routing.mark_mask = mark_mask.unwrap_or(routing.mark_mask);
    routing.bypass = distinct(prefixes("bypass", &section, report), report);
    routing
}

/// The prefixes of a list, which may be empty or left out.
fn prefixes(name: &str, section: &Section<'_>, report: &mut Report<'_>) -> Placed<IpNet> {
    let Some(field) = section.get(name, report) else {
        return Vec::new();
    };
    let prefixes = field.elements(NET, net, report);
    for item in prefixes.iter().filter(|item| item.value.prefix_len() == 0) {
        let what = format!(
            "{} is every address; accepted: smaller prefixes",
            item.value
        );
        report.wrong(item.line, &item.key, what);
    }
    prefixes
}
