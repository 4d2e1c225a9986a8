//! What becomes of each rule: none is forgotten.

use std::fmt;

use serde::Serialize;

use super::model::{Ruleset, Said};

/// Something for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// How much it matters.
    pub kind: Kind,
    /// Line of the input, from 1; none for JSON, and for what concerns no line alone.
    pub line: Option<usize>,
    /// Where it stands: `line 7`, or table, chain and handle; empty of several, and where that does not apply.
    pub at: String,
    /// The rule as it stands there, or what several are.
    pub rule: String,
    /// How many rules it accounts for: they are not in the configuration. 0 beside rules that are.
    pub rules: usize,
    /// Why it is not taken over, or not as it was.
    pub why: String,
    /// What to do by hand.
    pub fix: String,
}

/// Of a [`Note`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Not in the configuration.
    LeftOut,
    /// In the configuration, and not quite as it was.
    Differs,
    /// Not the gateway's business: it goes on as before.
    Kept,
    /// Something to check.
    Advice,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        write!(f, "{}: {}; {}", self.rule, self.why, self.fix)
    }
}

impl Kind {
    /// As `import` prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeftOut => "left out",
            Self::Differs => "differs",
            Self::Kept => "kept",
            Self::Advice => "note",
        }
    }
}

/// Rules by number, in the order of chains.
pub(super) struct Ledger {
    said: Vec<Said>,
    outcomes: Vec<Option<Outcome>>,
    first_of_chain: Vec<usize>,
    notes: Vec<Note>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Translated,
    Named,
}

impl Ledger {
    pub(super) fn new(ruleset: &Ruleset) -> Self {
        let (mut said, mut first_of_chain) = (Vec::new(), Vec::new());
        for chain in &ruleset.chains {
            first_of_chain.push(said.len());
            said.extend(chain.rules.iter().map(|rule| rule.said.clone()));
        }
        let mut ledger = Self {
            outcomes: vec![None; said.len()],
            said,
            first_of_chain,
            notes: Vec::new(),
        };
        for said in &ruleset.unread {
            let why = "it is no rule, table or chain that is read here";
            ledger.note(
                Kind::LeftOut,
                Some(said),
                said.text.clone(),
                0,
                why,
                "look at it yourself",
            );
        }
        ledger
    }

    /// The number of a chain's rule.
    pub(super) fn number(&self, chain: usize, rule: usize) -> usize {
        self.first_of_chain[chain] + rule
    }

    pub(super) fn said(&self, rule: usize) -> &Said {
        &self.said[rule]
    }

    /// `line 7: -A POSTROUTING ...`, for a comment.
    pub(super) fn comment(&self, rule: usize) -> String {
        let Said { at, text, .. } = &self.said[rule];
        format!("{at}: {text}")
    }

    pub(super) fn is_open(&self, rule: usize) -> bool {
        self.outcomes[rule].is_none()
    }

    /// Whether a note accounts for it.
    pub(super) fn is_named(&self, rule: usize) -> bool {
        self.outcomes[rule] == Some(Outcome::Named)
    }

    /// The configuration says it, or it does nothing. A rule of which anything was left out stays left out.
    pub(super) fn translated(&mut self, rule: usize) {
        self.outcomes[rule].get_or_insert(Outcome::Translated);
    }

    pub(super) fn left_out(&mut self, rule: usize, why: impl Into<String>, fix: impl Into<String>) {
        if self.outcomes[rule] == Some(Outcome::Named) {
            return;
        }
        self.outcomes[rule] = Some(Outcome::Named);
        let said = self.said[rule].clone();
        self.note(Kind::LeftOut, Some(&said), said.text.clone(), 1, why, fix);
    }

    pub(super) fn differs(&mut self, rule: usize, why: impl Into<String>, fix: impl Into<String>) {
        self.remark(Kind::Differs, rule, why, fix);
    }

    /// Something about a rule that is in the configuration.
    pub(super) fn remark(
        &mut self,
        kind: Kind,
        rule: usize,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let said = self.said[rule].clone();
        self.note(kind, Some(&said), said.text.clone(), 0, why, fix);
    }

    /// Several rules by one name, as far as nothing was said of them yet. `what` is put before how many.
    pub(super) fn group(
        &mut self,
        kind: Kind,
        rules: impl IntoIterator<Item = usize>,
        what: &str,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let rules: Vec<_> = rules
            .into_iter()
            .filter(|rule| self.is_open(*rule))
            .collect();
        let (Some(first), Some(last)) = (rules.first(), rules.last()) else {
            return;
        };
        let (first, last) = (self.said[*first].clone(), self.said[*last].clone());
        let all = if first == last {
            format!("{what}: {} `{}`", first.at, first.text)
        } else {
            format!("{what}: {} rules, {} to {}", rules.len(), first.at, last.at)
        };
        for rule in &rules {
            self.outcomes[*rule] = Some(Outcome::Named);
        }
        let line = Said {
            at: String::new(),
            ..first
        };
        self.note(kind, Some(&line), all, rules.len(), why, fix);
    }

    /// What concerns no rule alone. Once is enough.
    pub(super) fn general(
        &mut self,
        kind: Kind,
        what: &str,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.note(kind, None, what.to_owned(), 0, why, fix);
        let (last, before) = self.notes.split_last().expect("it was put there");
        if before.contains(last) {
            self.notes.pop();
        }
    }

    /// Names what nobody has named: how many were translated, and all notes, the gravest first.
    pub(super) fn close(mut self) -> (usize, Vec<Note>) {
        for rule in 0..self.outcomes.len() {
            if self.is_open(rule) {
                self.left_out(
                    rule,
                    "no packet was seen to reach it",
                    "look at it yourself",
                );
            }
        }
        self.notes.sort_by_key(|note| note.kind);
        let translated = self
            .outcomes
            .iter()
            .filter(|outcome| **outcome == Some(Outcome::Translated));
        (translated.count(), self.notes)
    }

    fn note(
        &mut self,
        kind: Kind,
        said: Option<&Said>,
        rule: String,
        rules: usize,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.notes.push(Note {
            kind,
            line: said.and_then(|said| said.line),
            at: said.map(|said| said.at.clone()).unwrap_or_default(),
            rule,
            rules,
            why: why.into(),
            fix: fix.into(),
        });
    }
}
