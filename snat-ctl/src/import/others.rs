//! Rules that translate nothing, and those of programs that keep their own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ledger::{Kind, Ledger},
    model::{Action, Base, Chain, Hook, Rule, Ruleset},
    owners::owner,
};

/// Rules of containers and virtual machines, by their owners: before anything is followed.
pub(super) fn owned(ruleset: &Ruleset, ledger: &mut Ledger) {
    let mut all: BTreeMap<&str, Vec<(usize, bool)>> = BTreeMap::new();
    let names = ruleset.by_name();
    for (number, chain, rule) in rules(ruleset, ledger) {
        let target = |case: &super::model::Case| match &case.action {
            Action::Jump(name) | Action::Goto(name) => {
                let target = names.get(&(chain.table.as_str(), name.as_str()))?;
                owner(&ruleset.chains[*target])
            }
            _ => None,
        };
        if let Some(owner) = owner(chain).or_else(|| rule.cases.iter().find_map(target)) {
            let translates = rule.cases.iter().any(|case| case.action.translates());
            all.entry(owner).or_default().push((number, translates));
        }
    }
    for (owner, rules) in all {
        let translates = rules.iter().any(|(_, translates)| *translates);
        let kind = if translates {
            Kind::LeftOut
        } else {
            Kind::Kept
        };
        let why = "they are for what runs on this host, not for the gateway's clients, and go on to work beside it";
        let fix = format!(
            "leave them to {owner}; ports of its NAT must not be those of an [[snat]] (docs/limits.md)"
        );
        ledger.group(
            kind,
            rules.into_iter().map(|(rule, _)| rule),
            &format!("rules of {owner}"),
            why,
            fix,
        );
    }
}

/// What is left when the NAT is known.
pub(super) fn rest(ruleset: &Ruleset, ledger: &mut Ledger) {
    let hooks = hooks(ruleset);
    for (index, chain) in ruleset.chains.iter().enumerate() {
        let rules = chain.rules.iter().enumerate();
        let rules: Vec<_> = rules
            .map(|(at, rule)| (ledger.number(index, at), rule))
            .collect();
        ipv6(chain, &rules, ledger);
        let from = hooks.get(&(chain.table.as_str(), chain.name.as_str()));
        let from = from.cloned().unwrap_or_default();
        if from.is_empty() {
            let why = "no chain leads there: they do nothing";
            keep(chain, &rules, why, "nothing", ledger);
        } else if from == BTreeSet::from([Own]) {
            let why =
                "they are for this host's own connections, which the gateway leaves to the kernel";
            keep(chain, &rules, why, "keep them, if they are wanted", ledger);
        } else {
            let forward = from.contains(&Where::Forward);
            for (number, rule) in rules.iter().filter(|(_, rule)| !forward || !filters(rule)) {
                by_name(*number, rule, ledger);
            }
            if forward {
                filter(chain, &rules, ruleset, ledger);
            }
        }
    }
}

/// A chain's rules with their numbers.
type Numbered<'a> = [(usize, &'a Rule)];

fn ipv6(chain: &Chain, rules: &Numbered<'_>, ledger: &mut Ledger) {
    let six = |rule: &Rule| chain.ipv6 || rule.cases.iter().all(|case| case.matches.ipv6);
    let six: Vec<_> = rules
        .iter()
        .copied()
        .filter(|(_, rule)| six(rule))
        .collect();
    for (number, rule) in &six {
        let translates = rule.cases.iter().any(|case| case.action.translates());
        if translates && ledger.is_open(*number) {
            let fix = "keep it: IPv6 is left to the kernel";
            ledger.left_out(*number, "IPv6 is not translated by the gateway", fix);
        }
    }
    let why = "IPv6 is left to the kernel, and they go on to work";
    keep(chain, &six, why, "keep them", ledger);
}

fn keep(chain: &Chain, rules: &Numbered<'_>, why: &str, fix: &str, ledger: &mut Ledger) {
    let name = format!("{} {}", chain.table, chain.name);
    let numbers = rules.iter().map(|(number, _)| *number);
    ledger.group(Kind::Kept, numbers, &name, why, fix);
}

/// Whether a rule only lets packets through, or not.
fn filters(rule: &Rule) -> bool {
    let refuses = ["drop", "reject", "log", "nflog", "queue"];
    rule.cases.iter().all(|case| match &case.action {
        Action::Other(name) => refuses
            .iter()
            .any(|word| name.to_ascii_lowercase().starts_with(word)),
        _ => !case.action.translates(),
    })
}

/// `filter FORWARD`, and what it leads to.
fn filter(chain: &Chain, rules: &Numbered<'_>, ruleset: &Ruleset, ledger: &mut Ledger) {
    let why = "they stay in force for what the gateway leaves to the kernel (bypassed prefixes, other interfaces). What \
               it translates passes netfilter by";
    let refuses = |rule: &Rule| {
        rule.cases
            .iter()
            .any(|case| matches!(case.action, Action::Other(_)))
    };
    if !closed(ruleset) && !chain.rules.iter().any(refuses) {
        return keep(
            chain,
            rules,
            why,
            "keep them, if anything else is forwarded",
            ledger,
        );
    }
    let why = format!("{why}: nothing of that is refused there any more");
    let fix =
        "what clients must not reach, and who must not reach them: in the VPC's security groups";
    let policy = chain.base.is_some_and(|base| base.closed);
    let name = format!(
        "{} {}{}",
        chain.table,
        chain.name,
        if policy { ", policy drop" } else { "" }
    );
    let open: Vec<_> = rules
        .iter()
        .map(|(number, _)| *number)
        .filter(|number| ledger.is_open(*number))
        .collect();
    if policy && open.is_empty() {
        ledger.general(Kind::LeftOut, &name, why, fix);
    } else {
        ledger.group(Kind::LeftOut, open, &name, why, fix);
    }
}

/// Whether what no rule knows is not forwarded.
fn closed(ruleset: &Ruleset) -> bool {
    let bases = ruleset
        .chains
        .iter()
        .filter(|chain| !chain.ipv6)
        .filter_map(|chain| chain.base);
    bases
        .into_iter()
        .any(|base| base.hook == Hook::Forward && base.closed)
}

fn by_name(number: usize, rule: &Rule, ledger: &mut Ledger) {
    if ledger.is_open(number) {
        let what = rule.cases.iter().find_map(|case| match &case.action {
            Action::Other(name) | Action::Jump(name) | Action::Goto(name) => Some(name.clone()),
            _ => None,
        });
        let what = what.unwrap_or_else(|| "such a rule".to_owned());
        let why = format!(
            "no configuration says {what}: packets that the gateway translates do not come to it"
        );
        ledger.left_out(
            number,
            why,
            "see who needs it (marks for policy routes: [[rule]], docs/eni.md)",
        );
    }
}

/// From where a chain is reached, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Where {
    Forward,
    Elsewhere,
    Own,
}

pub(super) use Where::Own;

/// Of each chain. A jump to what is no chain leads nowhere.
pub(super) fn hooks(ruleset: &Ruleset) -> BTreeMap<(&str, &str), BTreeSet<Where>> {
    let names = ruleset.by_name();
    let mut found: BTreeMap<(&str, &str), BTreeSet<Where>> = BTreeMap::new();
    let bases = ruleset
        .chains
        .iter()
        .filter_map(|chain| Some((chain, chain.base?)));
    let mut open: Vec<_> = bases.map(|(chain, base)| (chain, of(base))).collect();
    while let Some((chain, from)) = open.pop() {
        let key = (chain.table.as_str(), chain.name.as_str());
        if !found.entry(key).or_default().insert(from) {
            continue;
        }
        for case in chain.rules.iter().flat_map(|rule| &rule.cases) {
            if let Action::Jump(name) | Action::Goto(name) = &case.action
                && let Some(target) = names.get(&(chain.table.as_str(), name.as_str()))
            {
                open.push((&ruleset.chains[*target], from));
            }
        }
    }
    found
}

const fn of(base: Base) -> Where {
    match base.hook {
        Hook::Own => Own,
        Hook::Forward => Where::Forward,
        Hook::Prerouting | Hook::Postrouting | Hook::Device => Where::Elsewhere,
    }
}

/// All rules with their numbers and chains.
pub(super) fn rules<'a>(
    ruleset: &'a Ruleset,
    ledger: &Ledger,
) -> Vec<(usize, &'a Chain, &'a Rule)> {
    let chains = ruleset.chains.iter().enumerate();
    let each = chains.flat_map(|(index, chain)| {
        let rules = chain.rules.iter().enumerate();
        rules.map(move |(position, rule)| (index, position, chain, rule))
    });
    each.map(|(index, position, chain, rule)| (ledger.number(index, position), chain, rule))
        .collect()
}
