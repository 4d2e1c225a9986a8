//! `[[rule]]`: each becomes a rule for every pair of its sources and destinations, all of one priority.

use super::{Ladder, interface_of, rung};
use crate::{
    config::{Routing, RuleVerdict},
    eni::{Action, Rule, resolve::Found},
};

pub(super) fn rules(ladder: Ladder, routing: &Routing, found: &Found) -> Vec<(Rule, String)> {
    let mut rules = Vec::new();
    for (index, rule) in (0..).zip(&routing.rules) {
        let Some(action) = action(&rule.verdict, found) else {
            continue;
        };
        let why = format!("[[rule]] at line {}", rule.line);
        for (family, source, destination) in rule.selectors() {
            let mut one = ladder.rule(rung::ACCESS + index, family, action);
            one.source = source;
            one.destination = destination;
            one.iif.clone_from(&rule.interface);
            one.ip_protocol = rule.protocol;
            one.source_ports = rule.source_ports;
            one.destination_ports = rule.destination_ports;
            one.mark = rule.mark;
            rules.push((one, why.clone()));
        }
    }
    rules
}

/// `None` while the interface that it leads to is not there.
fn action(verdict: &RuleVerdict, found: &Found) -> Option<Action> {
    Some(match verdict {
        RuleVerdict::Eni(_) => Action::Lookup(interface_of(verdict, found)?.table),
        RuleVerdict::Table(table) => Action::Lookup(*table),
        RuleVerdict::Unreachable => Action::Unreachable,
        RuleVerdict::Prohibit => Action::Prohibit,
        RuleVerdict::Blackhole => Action::Blackhole,
    })
}
