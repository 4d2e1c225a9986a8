//! Rules as all readers give them.

use std::collections::{BTreeMap, BTreeSet};

use super::matches::Matches;
use crate::config::MssClamp;

/// What was read, in the order in which it stood.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    pub(super) chains: Vec<Chain>,
    /// What is no rule and was not understood.
    pub(super) unread: Vec<Said>,
}

/// A piece of the input, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// From 1; `None` where rules have no lines (JSON).
    pub(super) line: Option<usize>,
    /// Where it stands: `line 7`, or table, chain and handle.
    pub(super) at: String,
    /// As it stands there.
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct Chain {
    /// Family and table: jumps stay within.
    pub(super) table: String,
    pub(super) name: String,
    /// IPv6 alone.
    pub(super) ipv6: bool,
    /// What the kernel calls it from; `None` for what only jumps lead to.
    pub(super) base: Option<Base>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) hook: Hook,
    /// Of type `nat`.
    pub(super) nat: bool,
    pub(super) priority: i64,
    /// Policy `drop`.
    pub(super) closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Prerouting,
    Postrouting,
    Forward,
    /// What this host sends or receives itself.
    Own,
    /// `ingress`, `egress` of a device.
    Device,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) said: Said,
    /// One, or of a map one for each of its elements.
    pub(super) cases: Vec<Case>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) matches: Matches,
    pub(super) action: Action,
    /// It writes a line of each packet, beside its action.
    pub(super) logs: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It only counts.
    Nothing,
    Accept,
    Return,
    Jump(String),
    Goto(String),
    /// SNAT; `None` is masquerade.
    Source {
        to: Option<Vec<String>>,
        ports: Option<String>,
    },
    Destination(Target),
    Mss(MssClamp),
    /// Another, by its name.
    Other(String),
}

/// Where DNAT leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// An address, or a range.
    pub(super) addr: String,
    /// A port or a range; `None`: it stays.
    pub(super) port: Option<String>,
}

impl Ruleset {
    /// Another's rules behind these.
    pub(super) fn append(&mut self, other: Self) {
        self.chains.extend(other.chains);
        self.unread.extend(other.unread);
    }

    /// Chains by table and name.
    pub(super) fn by_name(&self) -> BTreeMap<(&str, &str), usize> {
        let chains = self.chains.iter().enumerate();
        chains
            .map(|(index, chain)| ((chain.table.as_str(), chain.name.as_str()), index))
            .collect()
    }

    /// A jump to what is no chain is a target of iptables.
    pub(super) fn settle(&mut self) {
        let known: BTreeSet<_> = self
            .chains
            .iter()
            .map(|chain| (chain.table.clone(), chain.name.clone()))
            .collect();
        for chain in &mut self.chains {
            for case in chain.rules.iter_mut().flat_map(|rule| &mut rule.cases) {
                if let Action::Jump(name) | Action::Goto(name) = &case.action
                    && !known.contains(&(chain.table.clone(), name.clone()))
                {
                    case.action = Action::Other(name.clone());
                }
            }
        }
    }

    pub(super) fn rules(&self) -> usize {
        self.chains.iter().map(|chain| chain.rules.len()).sum()
    }
}

impl Action {
    /// Whether a packet does not go on in the chain.
    pub(super) const fn leaves(&self) -> bool {
        matches!(self, Self::Accept | Self::Return | Self::Goto(_))
    }

    pub(super) const fn translates(&self) -> bool {
        matches!(self, Self::Source { .. } | Self::Destination(_))
    }
}
