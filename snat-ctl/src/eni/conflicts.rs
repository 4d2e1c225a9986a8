//! What others have where ours would go.
//!
//! It is refused before the first of ours is there. What others put beside ours later is theirs to decide: it is
//! left alone, and `status` shows it.

use super::{
    Action, Family, Host, LADDER, MAIN, Route, Rule, desired::main_metric, resolve::Found,
};
use crate::config::Routing;

/// Everything that is in the way, one line each.
#[must_use]
pub fn conflicts(routing: &Routing, found: &Found, host: &Host) -> Vec<String> {
    let mut conflicts = Vec::new();
    for interface in &found.interfaces {
        let (name, table) = (&interface.name, interface.table);
        let ours = host.our_routes().any(|route| route.table == table);
        let others: Vec<_> = foreign_routes(host, table).collect();
        if let (false, Some(first)) = (ours, others.first()) {
            conflicts.push(format!(
                "{name}: table {table} has {} already, such as `{first}` (protocol {}); give {name} another `table`, or remove them first (`snat-ctl eni import` reads them into a configuration)",
                count(others.len(), "route"),
                first.protocol
            ));
        }
    }
    let ladder = routing.priority..routing.priority + LADDER;
    let ours = host.our_rules().any(|rule| ladder.contains(&rule.priority));
    let others: Vec<_> = foreign_in_ladder(routing, host).collect();
    if let (false, Some(first)) = (ours, others.first()) {
        conflicts.push(format!(
            "priorities {} to {} are to be ours, and there is `{first}` (protocol {}); set `routing.priority` to the first of a thousand that are free",
            ladder.start,
            ladder.end - 1,
            first.protocol
        ));
    }
    for interface in &found.interfaces {
        conflicts.extend(Family::ALL.into_iter().filter_map(|family| {
            let metric = main_metric(interface, family)?;
            let other = host.foreign_defaults().find(|route| {
                route.family() == family
                    && route.metric == metric
                    && route.dev.as_deref() != Some(&interface.name)
            })?;
            Some(format!(
                "{}: its default_metric makes {metric}, and that is the metric of `{other}`, which would no longer be the only one; choose a higher metric to stay behind it",
                interface.name
            ))
        }));
    }
    conflicts
}

/// Others' rules within our priorities.
pub fn foreign_in_ladder<'a>(
    routing: &Routing,
    host: &'a Host,
) -> impl Iterator<Item = &'a Rule> + use<'a> {
    let ladder = routing.priority..routing.priority + LADDER;
    host.foreign_rules()
        .filter(move |rule| ladder.contains(&rule.priority))
}

/// Others' routes in a table of ours.
pub fn foreign_routes(host: &Host, table: u32) -> impl Iterator<Item = &Route> {
    host.foreign_routes()
        .filter(move |route| route.table == table && table != MAIN)
}

/// Others' rules that lead to a table of ours.
pub fn foreign_users(host: &Host, table: u32) -> impl Iterator<Item = &Rule> {
    host.foreign_rules()
        .filter(move |rule| rule.action == Action::Lookup(table))
}

/// `1 route`, `2 routes`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
