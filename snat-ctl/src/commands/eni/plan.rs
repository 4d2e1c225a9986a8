//! `snat-ctl eni plan`: what would change.

use std::{fmt::Write as _, process::ExitCode};

use serde::Serialize;

use super::configured;
use crate::{
    cli::{Global, eni::EniArgs},
    eni::{
        Change, Object, Plan, Store, Verb,
        conflicts::{count, foreign_in_ladder, foreign_routes},
        control::Prepared,
    },
    output,
};

pub(super) fn execute(global: &Global, args: &EniArgs) -> anyhow::Result<ExitCode> {
    let store = Store::open()?;
    let prepared = Prepared::new(configured(global, args)?, &store, &[])?.refuse_misfit()?;
    show(&prepared, args.json, "would change")?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a plan; `done` is what is said of its steps.
pub(super) fn show(prepared: &Prepared, json: bool, done: &str) -> anyhow::Result<()> {
    if json {
        return output::print_json(&Report::of(prepared));
    }
    for note in notes(prepared) {
        eprintln!("note: {note}");
    }
    output::print(&diff(&prepared.plan, done))
}

/// What a person should know besides the steps.
pub(super) fn notes(prepared: &Prepared) -> Vec<String> {
    let mut notes = prepared.found.problems.clone();
    notes.extend(prepared.conflicts.iter().cloned());
    notes.extend(prepared.found.notes.iter().cloned());
    for rule in foreign_in_ladder(&prepared.intent.routing, &prepared.host) {
        notes.push(format!(
            "`{rule}` (protocol {}) is somebody else's within our priorities; it is left alone",
            rule.protocol
        ));
    }
    for interface in &prepared.found.interfaces {
        for route in foreign_routes(&prepared.host, interface.table) {
            notes.push(format!(
                "`{route}` (protocol {}) is somebody else's in the table of {}; it is left alone",
                route.protocol, interface.name
            ));
        }
    }
    notes
}

/// As a diff, with the reasons in a column.
pub(super) fn diff(plan: &Plan, done: &str) -> String {
    if plan.is_empty() {
        return "nothing to change\n".to_owned();
    }
    let lines: Vec<_> = plan.changes.iter().map(ToString::to_string).collect();
    let width = lines.iter().map(|line| line.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for (line, Change { why, .. }) in lines.iter().zip(&plan.changes) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line:width$}  # {why}");
    }
    let _ = writeln!(text, "\n{} {done}", summary(plan));
    text
}

/// `2 rules and 3 routes`.
fn summary(plan: &Plan) -> String {
    let rules = |change: &&Change| matches!(change.object, Object::Rule(_));
    let rules = plan.changes.iter().filter(rules).count();
    let routes = plan.changes.len() - rules;
    match (rules, routes) {
        (0, routes) => count(routes, "route"),
        (rules, 0) => count(rules, "rule"),
        (rules, routes) => format!("{} and {}", count(rules, "rule"), count(routes, "route")),
    }
}

/// The JSON form, whose names are part of the contract.
#[derive(Serialize)]
struct Report<'a> {
    changes: Vec<Step<'a>>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Step<'a> {
    verb: Verb,
    /// As `ip` takes it.
    command: String,
    why: &'a str,
    #[serde(flatten)]
    object: &'a Object,
}

impl<'a> Report<'a> {
    fn of(prepared: &'a Prepared) -> Self {
        let changes = prepared.plan.changes.iter().map(|change| Step {
            verb: change.verb,
            command: change.command(),
            why: &change.why,
            object: &change.object,
        });
        Self {
            changes: changes.collect(),
            notes: notes(prepared),
        }
    }
}
