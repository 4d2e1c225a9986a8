//! The difference between what the kernel should hold and what it holds, in the order in which it is safe to make.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Desired, Family, Host, Route, RouteKind, Rule};

/// A rule or a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Object {
    /// A route.
    Route(Route),
    /// A rule.
    Rule(Rule),
}

/// Whether something comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// It is missing.
    Add,
    /// It is ours, and no longer wanted.
    Remove,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is done.
    pub verb: Verb,
    /// With what.
    pub object: Object,
    /// Why, in a few words.
    pub why: String,
}

/// What would be done, in this order: guards, routes, rules, and then what goes in the opposite order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub changes: Vec<Change>,
}

impl Plan {
    /// From what the host has to what is desired. Others' rules and routes don't count.
    #[must_use]
    pub fn new(desired: &Desired, host: &Host) -> Self {
        let routes: Vec<_> = host.our_routes().cloned().collect();
        let rules: Vec<_> = host.our_rules().cloned().collect();
        Self::between(desired, &routes, &rules)
    }

    /// As [`Self::new`], from these rules and routes of ours.
    #[must_use]
    pub fn between(desired: &Desired, routes: &[Route], rules: &[Rule]) -> Self {
        let mut changes = Vec::new();
        let mut stale = surplus(routes, desired.routes.iter().map(|(route, _)| route));
        let mut stale_rules = surplus(rules, desired.rules.iter().map(|(rule, _)| rule));
        // From the last to the first: else what a rule let through would meet, for a moment, the one behind it.
        stale_rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
        // Guards last, as they were made first.
        stale.sort_by_key(|route| route.kind != RouteKind::Unicast);
        for (route, why) in missing(&desired.routes, routes) {
            // IPv6 would make two next hops of one route of them. Meanwhile the guard holds.
            if let Some(at) = stale.iter().position(|old| joins(old, route)) {
                changes.push(Change::remove(Object::Route(stale.remove(at)), "replaced"));
            }
            changes.push(Change::add(Object::Route(route.clone()), why));
        }
        for (rule, why) in missing(&desired.rules, rules) {
            changes.push(Change::add(Object::Rule(rule.clone()), why));
        }
        for rule in stale_rules {
            changes.push(Change::remove(Object::Rule(rule), "no longer wanted"));
        }
        for route in stale {
            changes.push(Change::remove(Object::Route(route), "no longer wanted"));
        }
        Self { changes }
    }

    /// What takes all of it back, the last step first.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            changes: self.changes.iter().rev().map(Change::reversed).collect(),
        }
    }

    /// What it removes.
    pub fn removed(&self) -> impl Iterator<Item = &Object> {
        let changes = self.changes.iter();
        let removed = changes.filter(|change| change.verb == Verb::Remove);
        removed.map(|change| &change.object)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Change {
    fn add(object: Object, why: &str) -> Self {
        Self {
            verb: Verb::Add,
            object,
            why: why.to_owned(),
        }
    }

    fn remove(object: Object, why: &str) -> Self {
        Self {
            verb: Verb::Remove,
            object,
            why: why.to_owned(),
        }
    }

    /// As a command for `ip`.
    #[must_use]
    pub fn command(&self) -> String {
        let verb = match self.verb {
            Verb::Add => "add",
            Verb::Remove => "del",
        };
        match &self.object {
            Object::Route(route) => route.command(verb),
            Object::Rule(rule) => rule.command(verb),
        }
    }

    /// What takes it back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let (verb, why) = match self.verb {
            Verb::Add => (Verb::Remove, "taken back"),
            Verb::Remove => (Verb::Add, "put back"),
        };
        Self {
            verb,
            object: self.object.clone(),
            why: why.to_owned(),
        }
    }
}

/// As in a diff: `+ route default via ...`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.verb {
            Verb::Add => '+',
            Verb::Remove => '-',
        };
        write!(f, "{sign} {}", self.object)
    }
}

/// The words behind `ip`, without the verb.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(route) => write!(f, "{} route {route}", route.family().option()),
            Self::Rule(rule) => write!(f, "{} rule {rule}", rule.family.option()),
        }
    }
}

fn missing<'a, T: PartialEq>(
    wanted: &'a [(T, String)],
    present: &'a [T],
) -> impl Iterator<Item = (&'a T, &'a str)> {
    wanted
        .iter()
        .filter(|(one, _)| !present.contains(one))
        .map(|(one, why)| (one, why.as_str()))
}

/// What is present and not wanted: also a second one of the same.
fn surplus<'a, T: Clone + PartialEq + 'a>(
    present: &[T],
    wanted: impl Iterator<Item = &'a T>,
) -> Vec<T> {
    let mut surplus = present.to_vec();
    for one in wanted {
        if let Some(at) = surplus.iter().position(|other| other == one) {
            surplus.remove(at);
        }
    }
    surplus
}

fn joins(old: &Route, new: &Route) -> bool {
    new.family() == Family::Inet6
        && (old.table, old.destination, old.metric) == (new.table, new.destination, new.metric)
}
