//! What stays while an interface is away.
//!
//! When a link goes down the kernel takes the IPv6 addresses off it, and an ENI that is unplugged takes all of them
//! along. Sockets still send from those addresses. Without their rules that would leave by another interface; with
//! them it ends at the guard of the table.

use super::{
    Action, Desired, Host, Rule,
    desired::{from_priority, guard_of},
};
use crate::config::Routing;

/// Adds to `desired` the `from` rules of tables in `away`, but of addresses that are elsewhere now.
pub(super) fn linger(desired: &mut Desired, routing: &Routing, away: &[u32], host: &Host) {
    for rule in host.our_rules().filter(|rule| is_from(rule, routing)) {
        let Action::Lookup(table) = rule.action else {
            continue;
        };
        let wanted = desired.rules.iter().any(|(other, _)| other == rule);
        if !away.contains(&table) || wanted || is_elsewhere(rule, host) {
            continue;
        }
        desired
            .rules
            .push((rule.clone(), "its interface is away".to_owned()));
        let guard = guard_of(table, rule.family);
        if !desired.routes.iter().any(|(route, _)| *route == guard) {
            let why = "nothing leaks while its interface is away".to_owned();
            desired.routes.insert(0, (guard, why));
        }
    }
}

fn is_elsewhere(rule: &Rule, host: &Host) -> bool {
    rule.source
        .is_some_and(|source| host.has_address(source.addr()))
}

/// One that the present configuration would make of some address.
fn is_from(rule: &Rule, routing: &Routing) -> bool {
    rule.priority == from_priority(routing) && rule.source.is_some()
}
