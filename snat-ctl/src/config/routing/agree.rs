//! What each `[[eni]]` and `[[rule]]` may say by itself and they must not say together.

use std::fmt::Display;

use ipnet::IpNet;

use super::{
    super::report::Report,
    Eni, RuleVerdict,
    eni::Entry,
    rule,
    values::{self, mark_text},
};

const MOST_ENIS: usize = 200;
/// Each takes a rule of the kernel for each source with each destination, and these priorities are theirs.
const MOST_RULES: usize = 300;
/// Slots of the program that chooses for the host's own connections.
const MOST_WEIGHTS: u32 = 16;

/// Values that are one interface's own.
pub(super) fn enis(enis: &[Entry<'_>], report: &mut Report<'_>) {
    own(enis, "match", |eni| Some(eni.matcher.to_string()), report);
    own(enis, "table", |eni| eni.table, report);
    own(enis, "default_metric", |eni| eni.default_metric, report);
    prefixes(enis, report);
    if let Some(last) = enis.last().filter(|_| enis.len() > MOST_ENIS) {
        let what = format!("{} interfaces; accepted: at most {MOST_ENIS}", enis.len());
        report.wrong(last.eni.line, "eni", what);
    }
}

fn own<T: PartialEq + Display>(
    enis: &[Entry<'_>],
    name: &str,
    value: impl Fn(&Eni) -> Option<T>,
    report: &mut Report<'_>,
) {
    for (entry, before) in with_those_before(enis) {
        let Some(value_here) = value(&entry.eni) else {
            continue;
        };
        let same = |other: &&Entry<'_>| value(&other.eni).as_ref() == Some(&value_here);
        if let Some(first) = before.iter().find(same) {
            let what = format!(
                "{value_here} is the {name} of the [[eni]] in line {} too; accepted: a {name} of its own",
                first.eni.line
            );
            entry.section.refuse(name, what, report);
        }
    }
}

/// What is delegated is delegated to one interface.
fn prefixes(enis: &[Entry<'_>], report: &mut Report<'_>) {
    for (entry, before) in with_those_before(enis) {
        for (index, item) in entry.prefixes.iter().enumerate() {
            let prefix = item.value;
            if entry.prefixes[..index]
                .iter()
                .any(|other| other.value == prefix)
            {
                let what = format!("{prefix} is listed twice; accepted: each once");
                report.wrong(item.line, &item.key, what);
            }
            let overlaps = |other: &IpNet| prefix.contains(other) || other.contains(&prefix);
            let mut others = before.iter().flat_map(|other| &other.prefixes);
            if let Some(other) = others.find(|other| overlaps(&other.value)) {
                let what = format!(
                    "{prefix} overlaps {} of another [[eni]] in line {}; accepted: prefixes of this one \
                     alone",
                    other.value, other.line
                );
                report.wrong(item.line, &item.key, what);
            }
        }
    }
}

/// A balanced interface has a value of its own in the bits of `mask`, and 0 is none's.
pub(super) fn weights(enis: &[Entry<'_>], mask: u32, report: &mut Report<'_>) {
    let weighed: Vec<_> = enis
        .iter()
        .filter(|entry| entry.eni.weight.is_some())
        .collect();
    let values = 1_u32
        .checked_shl(mask.count_ones())
        .map_or(u32::MAX, |values| values - 1);
    let most = values.min(MOST_WEIGHTS);
    if let [alone] = weighed.as_slice() {
        let what =
            "has no effect: no other [[eni]] has a weight, so this one takes every new connection";
        alone.section.warn("weight", what, report);
    }
    if let Some(last) = weighed.last().filter(|_| weighed.len() > most as usize) {
        let what = format!(
            "{} interfaces with a weight; accepted: at most {most} with routing.mark_mask = {mask:#x}",
            weighed.len()
        );
        last.section.refuse("weight", what, report);
    }
}

/// No packet may match the marks of two interfaces, and none of a mark's bits may be balancing's.
pub(super) fn marks(
    enis: &mut [Entry<'_>],
    rules: &mut [rule::Entry<'_>],
    mask: u32,
    report: &mut Report<'_>,
) {
    if enis.iter().any(|entry| entry.eni.weight.is_some()) {
        let enis = enis
            .iter_mut()
            .map(|entry| (&mut entry.eni.mark, &entry.section));
        let rules = rules
            .iter_mut()
            .map(|entry| (&mut entry.rule.mark, &entry.section));
        for (mark, section) in enis.chain(rules) {
            let Some(mark) = mark else { continue };
            leave_out(mark, mask);
            if mark.1 & mask != 0 {
                let what = format!(
                    "{} shares bits with routing.mark_mask {mask:#x}, which weight sets; accepted: other bits",
                    mark_text(*mark)
                );
                section.refuse("mark", what, report);
            }
        }
    }
    for (entry, before) in with_those_before(enis) {
        let Some(mark) = entry.eni.mark else { continue };
        let meets = |other: (u32, u32)| (mark.0 ^ other.0) & mark.1 & other.1 == 0;
        if let Some(first) = before
            .iter()
            .find(|other| other.eni.mark.is_some_and(meets))
        {
            let what = format!(
                "{} and the mark of the [[eni]] in line {} match the same packets; accepted: marks that no \
                 packet can have both of",
                mark_text(mark),
                first.eni.line
            );
            entry.section.refuse("mark", what, report);
        }
    }
}

/// A mark that is compared in all bits means all that are the user's.
fn leave_out(mark: &mut (u32, u32), ours: u32) {
    if mark.1 == u32::MAX && mark.0 & ours == 0 && ours != u32::MAX {
        mark.1 = !ours;
    }
}

/// How many they are to the kernel.
pub(super) fn rules(rules: &[rule::Entry<'_>], report: &mut Report<'_>) {
    let count: usize = rules
        .iter()
        .map(|entry| entry.rule.selectors().count())
        .sum();
    if let Some(last) = rules.last().filter(|_| count > MOST_RULES) {
        let what = format!(
            "{count} rules, each source with each destination and IPv4 and IPv6 counted; accepted: at most \
             {MOST_RULES}"
        );
        report.wrong(last.rule.line, "rule", what);
    }
}

/// A name in `lookup` is that of an `[[eni]]`.
pub(super) fn lookups(enis: &[Entry<'_>], rules: &[rule::Entry<'_>], report: &mut Report<'_>) {
    let names: Vec<_> = enis
        .iter()
        .map(|entry| entry.eni.matcher.to_string())
        .collect();
    for entry in rules {
        if let RuleVerdict::Eni(name) = &entry.rule.verdict
            && !names.contains(name)
        {
            let what = format!(
                "no [[eni]] is matched by {name:?}; accepted: {}",
                values::LOOKUP
            );
            entry.section.refuse("lookup", what, report);
        }
    }
}

fn with_those_before<'e, 'a>(
    enis: &'e [Entry<'a>],
) -> impl Iterator<Item = (&'e Entry<'a>, &'e [Entry<'a>])> {
    enis.iter()
        .enumerate()
        .map(|(index, entry)| (entry, &enis[..index]))
}
