//! Policy routes that exist, in a script or in the kernel, as configuration.
//!
//! `shell` takes a script apart, `ip` and `net_tools` read its commands as the rules and routes they would make, and
//! `assemble` finds the ENIs and access rules in those. What cannot be said in a configuration becomes a [`Note`].

mod assemble;
mod ip;
mod net_tools;
mod script;
mod shell;
mod text;
mod words;

use std::{collections::BTreeMap, fmt};

use ipnet::IpNet;

use super::{Interface, Route, Rule};
use crate::config::{AccessRule, Eni};

/// What was found. Lines of the entries are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// `routing.bypass`.
    pub bypass: Vec<IpNet>,
    /// `[[eni]]`.
    pub enis: Vec<Eni>,
    /// `[[rule]]`.
    pub rules: Vec<AccessRule>,
    /// What is not in the others, or not as it was; in the order of lines.
    pub notes: Vec<Note>,
}

/// Something for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Line of the script, from 1; `None` for the kernel's.
    pub line: Option<usize>,
    /// The command, or the rule or route in `ip`'s words.
    pub what: String,
    /// Why it is not taken over, or what to know about it.
    pub why: String,
}

/// Reads a shell script (`rc.local`) with the documented commands: `ip route add`, `ip rule add`, `route add` and lines
/// that name tables.
///
/// `interfaces` are this machine's: a rule whose source is an address of theirs belongs to the ENI, not to the access
/// rules. `tables` are the names that the machine knows (`/etc/iproute2/rt_tables`).
#[must_use]
pub fn script(text: &str, interfaces: &[Interface], tables: &BTreeMap<u32, String>) -> Imported {
    assemble::assemble(script::read(text, tables), interfaces)
}

/// Reads what the kernel has. Rules and routes of its own, and ours, are not imported.
#[must_use]
pub fn kernel(rules: &[Rule], routes: &[Route], interfaces: &[Interface]) -> Imported {
    let found = Found {
        rules: rules.iter().cloned().map(Said::by_kernel).collect(),
        routes: routes.iter().cloned().map(Said::by_kernel).collect(),
        notes: Vec::new(),
    };
    assemble::assemble(found, interfaces)
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "`{}`: {}", self.what, self.why)
    }
}

/// Rules and routes with where they stood.
#[derive(Debug, Default)]
struct Found {
    rules: Vec<Said<Rule>>,
    routes: Vec<Said<Route>>,
    notes: Vec<Note>,
}

#[derive(Clone, Debug)]
struct Said<T> {
    line: Option<usize>,
    what: T,
}

impl<T: fmt::Display> Said<T> {
    fn by_kernel(what: T) -> Self {
        Self { line: None, what }
    }

    fn note(&self, why: impl Into<String>) -> Note {
        Note {
            line: self.line,
            what: self.what.to_string(),
            why: why.into(),
        }
    }
}

#[cfg(test)]
mod tests;
