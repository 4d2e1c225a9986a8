//! The way of a packet through chains: what reaches which rule.

use std::collections::BTreeMap;

use super::{
    ledger::{Kind, Ledger},
    matches::Matches,
    model::{Action, Base, Chain, Hook, Ruleset},
    owners::owner,
    ranges::Ranges,
};

/// As deep as the kernel lets jumps go (`NFT_JUMP_STACK_SIZE`).
const DEEPEST: usize = 16;
/// No ruleset of a gateway comes near that; one that is made to keep us busy does.
const MOST_VISITS: usize = 100_000;

/// Of a rule that makes no entry.
pub(super) const UNREACHED: &str = "no packet of a client reaches it: others come first";

/// A rule that translates, as a packet comes to it.
pub(super) struct Step<'a> {
    /// Its number.
    pub(super) rule: usize,
    /// Its own conditions and those of the jumps that lead to it.
    pub(super) matches: Matches,
    pub(super) action: &'a Action,
}

/// Packets that are let go before they come to a later rule.
#[derive(Debug)]
pub(super) struct Exemption {
    pub(super) rule: usize,
    pub(super) matches: Matches,
    /// From the rest of the chain at this depth only: what called it goes on.
    until_left: Option<usize>,
    /// Something is done to them that no configuration says, and that is told already.
    pub(super) named: bool,
}

/// Who is told of the rules that translate.
pub(super) trait Visitor {
    fn step(&mut self, step: Step<'_>, exemptions: &[Exemption], ledger: &mut Ledger);
}

/// Goes through all NAT chains of a hook, in the kernel's order.
pub(super) fn walk(ruleset: &Ruleset, hook: Hook, ledger: &mut Ledger, visitor: &mut dyn Visitor) {
    let chains = ruleset.chains.iter().enumerate();
    let mut bases: Vec<(&Base, usize)> = chains
        .filter(|(_, chain)| !chain.ipv6 && owner(chain).is_none())
        .filter_map(|(index, chain)| Some((chain.base.as_ref()?, index)))
        .filter(|(base, _)| base.nat && base.hook == hook)
        .collect();
    bases.sort_by_key(|(base, _)| base.priority);
    for (_, chain) in bases {
        let mut walker = Walker {
            ruleset,
            names: ruleset.by_name(),
            ledger,
            visitor,
            exemptions: Vec::new(),
            visits: 0,
        };
        walker.chain(chain, &Matches::everything(), 0);
    }
}

struct Walker<'a, 'v> {
    ruleset: &'a Ruleset,
    names: BTreeMap<(&'a str, &'a str), usize>,
    ledger: &'v mut Ledger,
    visitor: &'v mut dyn Visitor,
    exemptions: Vec<Exemption>,
    visits: usize,
}

impl<'a> Walker<'a, '_> {
    fn chain(&mut self, index: usize, given: &Matches, depth: usize) {
        let chain = &self.ruleset.chains[index];
        let mut given = given.clone();
        for (position, rule) in chain.rules.iter().enumerate() {
            let number = self.ledger.number(index, position);
            for case in &rule.cases {
                self.visits += 1;
                let matches = given.and(&case.matches);
                if matches.is_empty() {
                    self.ledger.translated(number);
                    if case.action.translates() && rule.cases.len() == 1 {
                        self.ledger
                            .remark(Kind::Advice, number, UNREACHED, "it needs no entry");
                    }
                    continue;
                }
                let gone = case
                    .action
                    .leaves()
                    .then(|| sources(&given, &matches))
                    .flatten();
                if case.logs && case.action.translates() {
                    let why = "nothing is logged of packets that the gateway translates";
                    self.ledger.differs(number, why, LOG);
                }
                self.case(chain, number, matches, &case.action, depth);
                if let Some(sources) = gone {
                    given.source = given.source.without(&sources);
                }
            }
        }
        self.exemptions.retain(|one| one.until_left != Some(depth));
    }

    fn case(
        &mut self,
        chain: &'a Chain,
        rule: usize,
        matches: Matches,
        action: &'a Action,
        depth: usize,
    ) {
        match action {
            Action::Nothing if matches.others.is_empty() => self.ledger.translated(rule),
            Action::Nothing => self
                .ledger
                .left_out(rule, does(&matches.others.join(" ")), BY_HAND),
            Action::Accept => self.accept(rule, matches),
            Action::Return => self.exempt(rule, matches, Some(depth)),
            Action::Jump(name) | Action::Goto(name) => {
                self.jump(chain, rule, matches, name, action, depth);
            }
            Action::Source { .. } | Action::Destination(_) => {
                let step = Step {
                    rule,
                    matches: matches.clone(),
                    action,
                };
                self.visitor.step(step, &self.exemptions, self.ledger);
                if self.ledger.is_named(rule) {
                    self.take(rule, matches);
                }
            }
            Action::Mss(_) => {}
            Action::Other(name) => {
                self.other(rule, name);
                if !goes_on(name) {
                    self.take(rule, matches);
                }
            }
        }
    }

    /// Packets that came back from a chain before have never seen it: what called that goes on with them.
    fn accept(&mut self, rule: usize, mut matches: Matches) {
        for back in self
            .exemptions
            .iter()
            .filter(|one| one.until_left > Some(0))
        {
            if !back.matches.meets(&matches) {
                continue;
            }
            let Some(left) = matches.without(&back.matches) else {
                let first = &self.ledger.said(back.rule).at;
                let why = format!(
                    "it lets packets go but for those of {first}, and which those are cannot be said by client or \
                     destination alone"
                );
                return self.ledger.left_out(rule, why, BY_HAND);
            };
            matches = left;
        }
        self.exempt(rule, matches, None);
    }

    /// Rules behind do not get these packets.
    fn take(&mut self, rule: usize, matches: Matches) {
        self.exemptions.push(Exemption {
            rule,
            matches,
            until_left: None,
            named: true,
        });
    }

    /// It becomes a bypass, or the like, of the rules behind it; they complain of it if it cannot.
    fn exempt(&mut self, rule: usize, matches: Matches, until_left: Option<usize>) {
        self.ledger.translated(rule);
        self.exemptions.push(Exemption {
            rule,
            matches,
            until_left,
            named: false,
        });
    }

    fn jump(
        &mut self,
        chain: &Chain,
        rule: usize,
        matches: Matches,
        name: &str,
        action: &Action,
        depth: usize,
    ) {
        let Some(target) = self.names.get(&(chain.table.as_str(), name)).copied() else {
            return self.other(rule, name);
        };
        if owner(&self.ruleset.chains[target]).is_some() {
            // Named with the chain that it leads to.
            return;
        }
        self.ledger.translated(rule);
        if depth >= DEEPEST || self.visits > MOST_VISITS {
            let why = "it leads deeper, or more often, than jumps are followed here";
            self.ledger.left_out(rule, why, BY_HAND);
            return;
        }
        self.chain(target, &matches, depth + 1);
        if let Action::Goto(_) = action {
            self.exempt(rule, matches, Some(depth));
        }
    }

    fn other(&mut self, rule: usize, name: &str) {
        let kind = name
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let (why, fix) = match kind.as_str() {
            "redirect" | "tproxy" => (
                "it leads to a port of this host. Clients' packets that the gateway translates do not come to it any \
                 more; from outside, what comes to a port that the gateway does not hand out still does"
                    .to_owned(),
                "keep it for what comes from outside; let clients speak to this host by its own address",
            ),
            "netmap" => (
                "it maps a whole network one to one; an [[snat]] shares its addresses".to_owned(),
                "an [[snat]] for each client that needs an address of its own",
            ),
            "log" => (
                "nothing is logged of packets that the gateway translates".to_owned(),
                LOG,
            ),
            _ => (does(name), BY_HAND),
        };
        self.ledger.left_out(rule, why, fix);
    }
}

/// Targets behind which a packet goes on in the chain.
fn goes_on(target: &str) -> bool {
    let word = target.split(' ').next().unwrap_or_default();
    let word = word.to_ascii_lowercase();
    ["log", "nflog", "mark", "connmark", "trace"].contains(&word.as_str())
}

/// The sources, if the packets are told from all that come there by those alone.
fn sources(given: &Matches, matches: &Matches) -> Option<Ranges> {
    let wide = Matches {
        source: given.source.clone(),
        ..matches.clone()
    };
    (wide == *given).then(|| matches.source.clone())
}

const LOG: &str = "[log] says who had which address and port; `snat-ctl flows watch` shows flows";
const BY_HAND: &str = "decide what the packets that it is for shall have, and write that by hand";

fn does(what: &str) -> String {
    format!(
        "no configuration says \"{what}\": packets that the gateway translates do not come to it"
    )
}
