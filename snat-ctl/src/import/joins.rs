//! Entries for the same clients: whether one says both, and what is lost where it does not.

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
    Other(&'static str),
}

/// Compares them.
pub(super) fn joins(earlier: &Entry, later: &Entry) -> Join {
    let ports = earlier.ports == later.ports || earlier.ports.is_none() || later.ports.is_none();
    if earlier.external == later.external && ports {
        Join::Same
    } else if !earlier.output.meets(&later.output) {
        Join::Other("an entry cannot have other addresses by another interface")
    } else if !earlier.protocol.covers(&later.protocol) {
        Join::Other("an entry cannot have other addresses or ports for another protocol")
    } else if !earlier.output.covers(&later.output) {
        Join::Other("an entry cannot have other addresses by another interface")
    } else if !later.exempted().covers(&earlier.exempted()) {
        Join::Other("an entry cannot have other addresses for other destinations")
    } else {
        Join::Never
    }
}

/// Makes one of both.
pub(super) fn join(earlier: &mut Entry, later: &Entry) {
    earlier.protocol = earlier.protocol.or(&later.protocol);
    earlier.output = earlier.output.or(&later.output);
    let exempted = later.exempted();
    for bypass in &mut earlier.exempt {
        bypass.destination = bypass.destination.and(&exempted);
    }
    earlier.ports = earlier.ports.take().or_else(|| later.ports.clone());
    earlier.rules.extend(&later.rules);
}

/// What is told when all entries are known.
pub(super) fn differences(draft: &Draft, ledger: &mut Ledger) {
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
