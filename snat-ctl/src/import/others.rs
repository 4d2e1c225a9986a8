//! Rules that translate nothing, and those of programs that keep their own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    draft::Draft,
    ledger::{Kind, Ledger},
    model::{Action, Base, Chain, Hook, Rule, Ruleset},
    owners::owner,
};
use crate::config::MssClamp;

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

/// The MSS that rules clamp to. Without one it is what the way takes.
pub(super) fn mss(ruleset: &Ruleset, draft: &mut Draft, ledger: &mut Ledger) {
    let hooks = hooks(ruleset);
    for (number, chain, rule) in rules(ruleset, ledger) {
        let own = hooks.get(&(chain.table.as_str(), chain.name.as_str()));
        let forwarded = own.is_some_and(|hooks| hooks.iter().any(|hook| *hook != Own));
        let Some(Action::Mss(mss)) = rule.cases.iter().map(|case| &case.action).next() else {
            continue;
        };
        if !ledger.is_open(number) || !forwarded || rule.cases[0].matches.ipv6 || chain.ipv6 {
            continue;
        }
        match draft.mss {
            Some((known, _)) if known != *mss => {
                let why = "mss_clamp is one for all, and an earlier rule has set it";
                ledger.left_out(
                    number,
                    why,
                    "mss_clamp = \"auto\" lowers it to what each way takes",
                );
            }
            _ if too_small(*mss) => {
                ledger.left_out(number, "mss_clamp takes 536 and more", "mss_clamp = 536");
            }
            _ => {
                draft.mss.get_or_insert((*mss, number));
                ledger.translated(number);
            }
        }
    }
}

fn too_small(mss: MssClamp) -> bool {
    matches!(mss, MssClamp::To(mss) if mss < 536)
}

/// What is left when the NAT is known.
pub(super) fn rest(ruleset: &Ruleset, ledger: &mut Ledger) {
    let hooks = hooks(ruleset);
    for (index, chain) in ruleset.chains.iter().enumerate() {
        let numbers: Vec<_> = (0..chain.rules.len())
            .map(|rule| ledger.number(index, rule))
            .collect();
        let name = format!("{} {}", chain.table, chain.name);
        let ipv6 = |rule: &Rule| chain.ipv6 || rule.cases.iter().all(|case| case.matches.ipv6);
        for (number, rule) in numbers
            .iter()
            .zip(&chain.rules)
            .filter(|(_, rule)| ipv6(rule))
        {
            if ledger.is_open(*number) && rule.cases.iter().any(|case| case.action.translates()) {
                ledger.left_out(
                    *number,
                    "IPv6 is not translated by the gateway",
                    "keep it: IPv6 is left to the kernel",
                );
            }
        }
        let six = numbers
            .iter()
            .zip(&chain.rules)
            .filter(|(_, rule)| ipv6(rule))
            .map(|(number, _)| *number);
        let six: Vec<_> = six.collect();
        ledger.group(
            Kind::Kept,
            six,
            &name,
            "IPv6 is left to the kernel, and they go on to work",
            "keep them",
        );
        let reached = hooks.get(&(chain.table.as_str(), chain.name.as_str()));
        match reached
            .map(|hooks| hooks.iter().copied().collect::<Vec<_>>())
            .as_deref()
        {
            None | Some([]) => {
                ledger.group(
                    Kind::Kept,
                    numbers,
                    &name,
                    "no chain leads there: they do nothing",
                    "nothing",
                );
            }
            Some([Own]) => {
                let why = "they are for this host's own connections, which the gateway leaves to the kernel";
                ledger.group(
                    Kind::Kept,
                    numbers,
                    &name,
                    why,
                    "keep them, if they are wanted",
                );
            }
            Some(hooks) if hooks.contains(&Where::Forward) => {
                for (number, rule) in numbers
                    .iter()
                    .zip(&chain.rules)
                    .filter(|(_, rule)| !filters(rule))
                {
                    by_name(*number, rule, ledger);
                }
                filter(chain, numbers, &name, ruleset, ledger);
            }
            Some(_) => {
                for (number, rule) in numbers.into_iter().zip(&chain.rules) {
                    by_name(number, rule, ledger);
                }
            }
        }
    }
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
fn filter(chain: &Chain, numbers: Vec<usize>, name: &str, ruleset: &Ruleset, ledger: &mut Ledger) {
    let closed = |base: &Base| base.hook == Hook::Forward && base.closed;
    let drops = |rule: &Rule| {
        rule.cases
            .iter()
            .any(|case| matches!(case.action, Action::Other(_)))
    };
    let closed = ruleset
        .chains
        .iter()
        .filter(|chain| !chain.ipv6)
        .filter_map(|chain| chain.base.as_ref())
        .any(closed);
    let strict = closed || chain.rules.iter().any(drops);
    let why = "they stay in force for what the gateway leaves to the kernel (bypassed prefixes, other interfaces). What \
               it translates passes netfilter by";
    let name = if chain.base.is_some_and(|base| base.closed) {
        &format!("{name}, policy drop")
    } else {
        name
    };
    if strict {
        let why = format!("{why}: nothing of that is refused there any more");
        let fix = "what clients must not reach, and who must not reach them: in the VPC's security groups";
        if numbers.iter().all(|number| !ledger.is_open(*number))
            && chain.base.is_some_and(|base| base.closed)
        {
            ledger.general(Kind::LeftOut, name, why, fix);
        } else {
            ledger.group(Kind::LeftOut, numbers, name, why, fix);
        }
    } else {
        ledger.group(
            Kind::Kept,
            numbers,
            name,
            why,
            "keep them, if anything else is forwarded",
        );
    }
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
enum Where {
    Forward,
    Elsewhere,
    Own,
}

use Where::Own;

/// Of each chain. A jump to what is no chain leads nowhere.
fn hooks(ruleset: &Ruleset) -> BTreeMap<(&str, &str), BTreeSet<Where>> {
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
fn rules<'a>(ruleset: &'a Ruleset, ledger: &Ledger) -> Vec<(usize, &'a Chain, &'a Rule)> {
    let chains = ruleset.chains.iter().enumerate();
    let each = chains.flat_map(|(index, chain)| {
        let rules = chain.rules.iter().enumerate();
        rules.map(move |(position, rule)| (index, position, chain, rule))
    });
    each.map(|(index, position, chain, rule)| (ledger.number(index, position), chain, rule))
        .collect()
}
