//! Entries for the same clients: whether one says both, and what is lost where it does not.

use std::collections::BTreeSet;

use super::{
    draft::{Draft, Entry},
    ledger::{Kind, Ledger},
    matches::Matches,
    sources::HALF,
};

/// What an earlier entry is to a later one.
pub(super) enum Join {
    /// One entry says both.
    Same,
    /// The later is never reached.
    Never,
    /// The later says something else, and this is the difference.
    Other(String),
}

/// Compares them.
pub(super) fn joins(earlier: &Entry, later: &Entry) -> Join {
    let Some(more) = more(earlier, later) else {
        return Join::Never;
    };
    let ports = earlier.ports == later.ports || earlier.ports.is_none() || later.ports.is_none();
    if earlier.external != later.external || !ports {
        Join::Other(format!(
            "an entry cannot have other addresses or ports {more}"
        ))
    } else if later.source.covers(&earlier.source) && joinable(earlier, later) {
        Join::Same
    } else {
        let why = "an entry is for what all of its clients send alike, and this one is not for all that it says";
        Join::Other(format!("{why} {more}"))
    }
}

/// What the later has that the earlier has not; `None` if nothing.
fn more(earlier: &Entry, later: &Entry) -> Option<&'static str> {
    if !earlier.output.covers(&later.output) || !earlier.input.covers(&later.input) {
        Some("by another interface")
    } else if !earlier.protocol.covers(&later.protocol) {
        Some("for another protocol")
    } else if !later.exempted().covers(&earlier.exempted()) {
        Some("for other destinations")
    } else {
        None
    }
}

/// Whether what each takes of all packets is, put together, what an entry takes: of two that differ in both protocol
/// and interface it would be more.
fn joinable(earlier: &Entry, later: &Entry) -> bool {
    let differences = [
        earlier.output != later.output,
        earlier.input != later.input,
        earlier.protocol != later.protocol,
        earlier.exempted() != later.exempted(),
    ];
    more(later, earlier).is_none() || differences.into_iter().filter(|one| *one).count() == 1
}

/// Makes one of both.
pub(super) fn join(earlier: &mut Entry, later: &Entry, ledger: &mut Ledger) {
    if earlier.ports != later.ports {
        let why = "its ports are for some protocols only; of an [[snat]] they are for all";
        let rule = if earlier.ports.is_some() {
            earlier.rules[0]
        } else {
            later.rules[0]
        };
        ledger.differs(
            rule,
            why,
            "see whether they are enough for all; else take `ports` out",
        );
    }
    earlier.protocol = earlier.protocol.or(&later.protocol);
    earlier.output = earlier.output.or(&later.output);
    earlier.input = earlier.input.or(&later.input);
    let exempted = later.exempted();
    for bypass in &mut earlier.exempt {
        bypass.destination = bypass.destination.and(&exempted);
    }
    earlier.ports = earlier.ports.take().or_else(|| later.ports.clone());
    earlier.rules.extend(&later.rules);
}

/// What is told when all entries are known.
///
/// `routed`: what other interfaces lead to is in bypasses already.
pub(super) fn differences(draft: &Draft, routed: bool, ledger: &mut Ledger) {
    let named = draft.entries.iter().flat_map(|entry| entry.output.listed());
    let outputs: BTreeSet<_> = named.collect();
    let bypassed = draft.bypassed();
    for entry in &draft.entries {
        let rule = entry.rules[0];
        let more = bypassed.without(&entry.exempted());
        if !more.is_empty() {
            let nets: Vec<_> = more.prefixes().iter().map(ToString::to_string).collect();
            let why = format!(
                "it translates what goes to {}, too; a [[bypass]] is for all clients",
                nets.join(", ")
            );
            ledger.differs(
                rule,
                why,
                "take out of [[bypass]] what these clients cannot reach untranslated",
            );
        }
        if entry.source.size() >= HALF && !draft.forwards.is_empty() {
            let why = "it is for every source: who comes to a [[forward]] from outside is a client, too, and is seen \
                       there as the external address";
            ledger.differs(rule, why, "name the clients' prefixes in the [[snat]]");
        }
        let other = outputs.iter().find(|name| !entry.output.holds(name));
        if let (Some(name), false) = (other, routed) {
            let why = format!(
                "it translates what leaves by {name}, too; an [[snat]] is for all interfaces of the gateway"
            );
            ledger.differs(
                rule,
                why,
                "see whether that will do; or import --live on the gateway",
            );
        }
        let whole = Matches {
            protocol: entry.protocol.clone(),
            ..Matches::everything()
        };
        if !whole.every_protocol() {
            let why = "it is for some protocols only; an [[snat]] is for all";
            ledger.differs(rule, why, "see whether that will do");
        }
    }
    for bypass in draft.bypass.iter().filter(|bypass| bypass.rule.is_none()) {
        let nets: Vec<_> = bypass
            .destination
            .prefixes()
            .iter()
            .map(ToString::to_string)
            .collect();
        let why = "this host routes them by interfaces that the rules do not translate for";
        ledger.general(
            Kind::Advice,
            &format!("[[bypass]] {}", nets.join(", ")),
            why,
            "see that nothing is missing there",
        );
    }
}
