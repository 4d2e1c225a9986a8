//! Which interface a rule or a route goes with.

use super::{Action, Intent, Interface, Route, Rule};

/// The rules that go with `interface`: those that look in its table; the first interface has those of no table of an
/// ENI.
pub(super) fn rules<'a>(
    intent: &Intent<'a>,
    interface: &'a Interface,
) -> impl Iterator<Item = &'a (Rule, String)> {
    let intent = *intent;
    intent
        .rules
        .iter()
        .filter(move |(rule, _)| of_rule(&intent, rule).name == interface.name)
}

/// The routes that go with `interface`: those by it, and those of its table that lead nowhere.
pub(super) fn routes<'a>(
    intent: &Intent<'a>,
    interface: &'a Interface,
) -> impl Iterator<Item = &'a (Route, String)> {
    let intent = *intent;
    intent
        .routes
        .iter()
        .filter(move |(route, _)| of_route(&intent, route).name == interface.name)
}

fn of_rule<'a>(intent: &Intent<'a>, rule: &Rule) -> &'a Interface {
    match rule.action {
        Action::Lookup(table) => of_table(intent, table),
        _ => &intent.interfaces[0],
    }
}

fn of_route<'a>(intent: &Intent<'a>, route: &Route) -> &'a Interface {
    match &route.dev {
        Some(dev) => named(intent, dev),
        None => of_table(intent, route.table),
    }
}

/// The main table is nobody's own.
fn of_table<'a>(intent: &Intent<'a>, table: u32) -> &'a Interface {
    let mut in_table = intent.routes.iter().filter(|(route, _)| {
        route.table == table && table != crate::eni::MAIN && route.dev.is_some()
    });
    match in_table.find_map(|(route, _)| route.dev.as_deref()) {
        Some(dev) => named(intent, dev),
        None => &intent.interfaces[0],
    }
}

fn named<'a>(intent: &Intent<'a>, name: &str) -> &'a Interface {
    let found = intent
        .interfaces
        .iter()
        .find(|interface| interface.name == name);
    found.unwrap_or(&intent.interfaces[0])
}
