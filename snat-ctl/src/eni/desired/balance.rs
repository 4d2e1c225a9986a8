//! `weight`: the marks of balanced connections, and where each leads.

use super::{Ladder, rung};
use crate::{
    config::Routing,
    eni::{
        Action, Family, MAIN, Rule,
        balance::Slot,
        resolve::{Found, Interface},
    },
};

pub(super) fn rules(ladder: Ladder, routing: &Routing, found: &Found) -> Vec<(Rule, String)> {
    let balanced = marked(routing, found);
    let mut rules = Vec::new();
    for family in Family::ALL {
        let speak = balanced
            .iter()
            .any(|(_, interface)| interface.speaks(family));
        if !speak {
            continue;
        }
        let mut known = ladder.rule(rung::KNOWN, family, Action::Lookup(MAIN));
        known.suppress_prefix_length = Some(0);
        rules.push((known, "only default routes are balanced".to_owned()));
        for (mark, interface) in &balanced {
            if interface.gateway(family).is_none() {
                continue;
            }
            let mut rule = ladder.rule(rung::BALANCE, family, Action::Lookup(interface.table));
            rule.mark = Some((*mark, routing.mark_mask));
            rules.push((rule, format!("connections balanced to {}", interface.name)));
        }
    }
    rules
}

/// Share of each interface that takes part; none for one that leads nowhere now.
#[must_use]
pub fn slots(routing: &Routing, found: &Found) -> Vec<Slot> {
    marked(routing, found)
        .into_iter()
        .map(|(mark, interface)| Slot {
            mark,
            weight: if interface.leads_out() {
                interface.eni.weight.unwrap_or(0)
            } else {
                0
            },
        })
        .collect()
}

/// The mark of each interface that has a weight: its place among those of the file, be they there or not.
fn marked<'a>(routing: &Routing, found: &'a Found) -> Vec<(u32, &'a Interface)> {
    let lowest = routing.mark_mask & routing.mark_mask.wrapping_neg();
    let mut marked = Vec::new();
    let weighted = routing.enis.iter().filter(|eni| eni.weight.is_some());
    for (place, eni) in (1..).zip(weighted) {
        if let Some(interface) = found.interfaces.iter().find(|found| found.eni == *eni) {
            marked.push((lowest.wrapping_mul(place), interface));
        }
    }
    marked
}
