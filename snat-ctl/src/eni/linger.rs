//! What stays while an interface is away.
//!
//! When a link goes down the kernel takes the IPv6 addresses off it, and an ENI that is unplugged takes all of them
//! along. Sockets still send from those addresses. Without their rules that would leave by another interface; with
//! them it ends at the guard of the table.

use super::{Action, Desired, Host, Rule, desired::guard_of};

/// Adds to `desired` what we have for the tables in `away` and what belongs to no address that is elsewhere now.
pub(super) fn linger(desired: &mut Desired, away: &[u32], host: &Host) {
    for rule in host.our_rules() {
        let Action::Lookup(table) = rule.action else {
            continue;
        };
        let wanted = |rule: &Rule| desired.rules.iter().any(|(other, _)| other == rule);
        if !away.contains(&table) || wanted(rule) || is_elsewhere(rule, host) {
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
