//! From rules to a configuration, step by step.

use std::collections::BTreeSet;

use super::{
    Given, Imported,
    draft::{self, Draft, Entry},
    forwards::Forwards,
    host::Here,
    joins,
    ledger::{Kind, Ledger},
    matches::Matches,
    model::{Action, Case, Hook, Ruleset},
    mss, others,
    sources::Sources,
    toml,
    walk::walk,
};

/// `unread` is what could not be looked at.
pub(super) fn translate(
    mut ruleset: Ruleset,
    here: Option<&Here>,
    given: &Given,
    unread: Vec<(Kind, String)>,
) -> Imported {
    ruleset.settle();
    let mut ledger = Ledger::new(&ruleset);
    for (kind, what) in unread {
        ledger.general(
            kind,
            &what,
            "they could not be looked at",
            "look at them yourself",
        );
    }
    let mut draft = Draft::default();
    others::owned(&ruleset, &mut ledger);
    let mut forwards = Forwards {
        outside: outside(&ruleset),
        draft: &mut draft,
        here,
        inside: Vec::new(),
    };
    walk(&ruleset, Hook::Prerouting, &mut ledger, &mut forwards);
    forwards.finish(&mut ledger);
    let mut sources = Sources {
        draft: &mut draft,
        here,
        hairpins: Vec::new(),
    };
    walk(&ruleset, Hook::Postrouting, &mut ledger, &mut sources);
    sources.finish(&mut ledger);
    mss::mss(&ruleset, &mut draft, given, &mut ledger);
    draft.settle();
    joins::differences(&draft, here.is_some(), &mut ledger);
    others::rest(&ruleset, &mut ledger);
    let text = file(&mut draft, here, given, &mut ledger);
    let rules = ruleset.rules();
    let (translated, notes) = ledger.close();
    let config = text.map(|text| text + &toml::missing(&notes));
    Imported {
        config,
        rules,
        translated,
        notes,
    }
}

fn file(
    draft: &mut Draft,
    here: Option<&Here>,
    given: &Given,
    ledger: &mut Ledger,
) -> Option<String> {
    if draft.entries.is_empty() && draft.forwards.is_empty() {
        return None;
    }
    if draft.entries.is_empty() {
        clients_of_forwards(draft, ledger);
    }
    let interfaces = interfaces(draft, here, given, ledger);
    let text = toml::file(draft, given.name.as_deref(), &interfaces, ledger);
    match draft::warnings(&text) {
        Ok(warnings) => {
            for warning in warnings {
                let fix = "see whether that is meant";
                ledger.general(Kind::Advice, "the configuration", warning, fix);
            }
        }
        Err(why) => {
            let fix = "change it by hand until `snat-ctl check` takes it";
            ledger.general(Kind::LeftOut, "the configuration", why, fix);
        }
    }
    Some(text)
}

/// A gateway has clients: without a rule that says who, they are those that forwards lead to.
fn clients_of_forwards(draft: &mut Draft, ledger: &mut Ledger) {
    let source = draft.internal();
    let mut external: Vec<_> = draft
        .forwards
        .iter()
        .map(|forward| forward.external.ip().to_string())
        .collect();
    external.truncate(1);
    let all = Matches::everything();
    draft.entries.push(Entry {
        prefixes: source.prefixes(),
        source,
        external: Some(external),
        ports: None,
        output: all.output,
        input: all.input,
        protocol: all.protocol,
        exempt: Vec::new(),
        rules: Vec::new(),
    });
    let why = "no rule translates sources, and a gateway needs clients: those that forwards lead to are put there";
    ledger.general(
        Kind::LeftOut,
        "[[snat]]",
        why,
        "check it: what they send of their own accord is translated, too",
    );
}

/// Where rules send what they translate, as far as they say so.
fn outside(ruleset: &Ruleset) -> BTreeSet<String> {
    let chains = ruleset.chains.iter().filter(|chain| !chain.ipv6);
    let rules = chains
        .flat_map(|chain| &chain.rules)
        .flat_map(|rule| &rule.cases);
    let sources = rules.filter(|case: &&Case| matches!(case.action, Action::Source { .. }));
    sources
        .flat_map(|case| case.matches.output.listed())
        .cloned()
        .collect()
}

fn interfaces(
    draft: &Draft,
    here: Option<&Here>,
    given: &Given,
    ledger: &mut Ledger,
) -> Vec<String> {
    if !given.interfaces.is_empty() {
        if let Some(here) = here {
            here.tell_tunnelled(&draft.clients(), ledger);
        }
        return given.interfaces.clone();
    }
    let mut all = draft.interfaces.clone();
    if let Some(here) = here {
        let outputs = draft
            .entries
            .iter()
            .any(|entry| entry.output.listed().next().is_none());
        all.extend(here.outside().filter(|_| outputs).cloned());
        all.extend(
            draft
                .entries
                .iter()
                .flat_map(|entry| here.towards(&entry.source)),
        );
        all.extend(
            here.towards(&draft.internal())
                .into_iter()
                .filter(|_| !draft.forwards.is_empty()),
        );
        all = here.ethernet(&all, ledger);
        here.tell_tunnelled(&draft.clients(), ledger);
    }
    all.remove("lo");
    let (patterns, all): (Vec<_>, Vec<_>) = all.into_iter().partition(|name| name.ends_with('*'));
    for pattern in patterns {
        let why = format!("which interfaces are called {pattern} is not known");
        ledger.general(
            Kind::LeftOut,
            "gateway.interfaces",
            why,
            "name them: --interface eth0 --interface eth1",
        );
    }
    match (all.len(), here) {
        (0, _) => {
            let why = "no rule names an interface: eth0 is put there";
            ledger.general(
                Kind::LeftOut,
                "gateway.interfaces",
                why,
                "name them: --interface eth0, and once more if clients come in by another",
            );
            vec!["eth0".to_owned()]
        }
        (1, None) => {
            let why = format!("rules name {} only", all[0]);
            ledger.general(
                Kind::Advice,
                "gateway.interfaces",
                why,
                "if clients come in by another, name both: --interface eth0 --interface eth1",
            );
            all
        }
        _ => all,
    }
}
