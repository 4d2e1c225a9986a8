//! Asks the kernel's own route lookup whether every intent holds.
//!
//! Each rule of ours becomes a question that it alone should answer. What the answer should be is worked out from
//! our rules and tables and nothing else, so a rule of somebody else's that comes first is found out.

mod expect;
mod question;

use std::fmt;

use serde::Serialize;

pub use self::{expect::Expected, question::Question};
use super::{Change, Object, Rule, Verb, control::Prepared};
use crate::netlink::{self, Found, NetlinkError};

/// One intent, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Whom it is about: `address of eth1`.
    pub intent: String,
    /// What the kernel was asked, as `ip route get` takes it.
    pub question: String,
    /// What it should say.
    pub expected: String,
    /// What it says.
    pub answer: String,
    /// Whether that is the same.
    pub ok: bool,
}

/// What a verification has found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// Every intent that could be asked about.
    pub checks: Vec<Check>,
    /// What is missing or left over, as in a plan.
    pub differences: Vec<String>,
    /// Rules about which the kernel can't be asked from here, each with the reason.
    pub unasked: Vec<String>,
}

impl Verification {
    /// Asks about everything.
    ///
    /// # Errors
    ///
    /// When the kernel can't be asked at all; what it answers is never an error.
    pub fn new(prepared: &Prepared) -> Result<Self, NetlinkError> {
        let mut verification = Self {
            differences: differences(prepared).collect(),
            ..Self::default()
        };
        for (rule, why) in &prepared.desired.rules {
            match Question::about(rule, prepared) {
                Ok(question) => {
                    let check = check(&question, why, prepared)?;
                    verification.checks.push(check);
                }
                Err(reason) => verification.unasked.push(unasked(rule, why, reason)),
            }
        }
        Ok(verification)
    }

    /// Whether all is as it should be.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.differences.is_empty() && self.checks.iter().all(|check| check.ok)
    }
}

fn check(question: &Question, why: &str, prepared: &Prepared) -> Result<Check, NetlinkError> {
    let expected = Expected::of(question, prepared);
    let answer = netlink::lookup(&question.lookup)?;
    Ok(Check {
        intent: why.to_owned(),
        question: question.to_string(),
        expected: expected.to_string(),
        answer: Answer(&answer, prepared).to_string(),
        ok: expected.is(&answer, prepared),
    })
}

/// What is missing or left over. The rule of an address that just went is neither: the daemon keeps it for a while,
/// for sockets that still send from it.
fn differences(prepared: &Prepared) -> impl Iterator<Item = String> {
    let changes = prepared.plan.changes.iter();
    let lingers = |change: &&Change| match (&change.verb, &change.object) {
        (Verb::Remove, Object::Rule(rule)) => rule
            .source
            .is_some_and(|source| !prepared.host.has_address(source.addr())),
        _ => false,
    };
    changes
        .filter(move |change| !lingers(change))
        .map(difference)
}

fn difference(change: &Change) -> String {
    match change.verb {
        Verb::Add => format!("missing: {}", change.object),
        Verb::Remove => format!("left over: {}", change.object),
    }
}

fn unasked(rule: &Rule, why: &str, reason: &str) -> String {
    format!("{why}: `{rule}`: {reason}")
}

/// What the kernel said, with the interface by its name.
struct Answer<'a>(&'a Found, &'a Prepared);

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found, prepared) = self;
        match found {
            Found::Refused(kind) => write!(f, "{}", expect::word(*kind)),
            Found::NoRoute => f.write_str("no route"),
            Found::Route {
                table,
                dev,
                gateway,
                ..
            } => {
                let name = dev.and_then(|dev| expect::name_of(dev, prepared));
                expect::way(f, *table, name.as_deref(), *gateway)
            }
        }
    }
}
