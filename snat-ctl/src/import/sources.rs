//! Rules that translate sources, as `[[snat]]` and `[[bypass]]`.

use super::{
    draft::{Bypass, Draft, Entry, accepted},
    exempt::{Effect, effect},
    host::Here,
    joins::{Join, join, joins},
    ledger::{Kind, Ledger},
    matches::Matches,
    model::Action,
    names::Names,
    owners::is_bridge,
    ranges::Ranges,
    toml,
    walk::{Exemption, Step, UNREACHED, Visitor},
};

/// More than that is "everywhere but", less is "only there".
pub(super) const HALF: u64 = 1 << 31;

/// Reads the rules of POSTROUTING; forwards are known.
pub(super) struct Sources<'a> {
    pub(super) draft: &'a mut Draft,
    pub(super) here: Option<&'a Here>,
    /// Rules that may be for hairpins, until all clients are known.
    pub(super) hairpins: Vec<(usize, Matches)>,
}

impl Visitor for Sources<'_> {
    fn step(&mut self, step: Step<'_>, exemptions: &[Exemption], ledger: &mut Ledger) {
        let Action::Source { to, ports } = step.action else {
            return ledger.left_out(step.rule, "it changes destinations behind the route", AGAIN);
        };
        if self.is_hairpin(&step.matches) {
            return self.hairpins.push((step.rule, step.matches));
        }
        if step.matches.output == Names::Only(["lo".to_owned()].into()) {
            let why = "it is for what this host sends to itself";
            return ledger.group(
                Kind::Kept,
                [step.rule],
                "nat",
                why,
                "keep it, if it is wanted",
            );
        }
        if let Some((why, fix)) = unfit(&step.matches) {
            return ledger.left_out(step.rule, why, fix);
        }
        let mut matches = step.matches;
        if let Err((why, fix)) = self.by_input(step.rule, &mut matches, ledger) {
            return ledger.left_out(step.rule, why, fix);
        }
        let entry = Entry {
            prefixes: Vec::new(),
            source: matches.source.clone(),
            external: to.clone(),
            ports: ports.clone(),
            output: matches.output.clone(),
            input: matches.input.clone(),
            protocol: matches.protocol.clone(),
            exempt: vec![Bypass {
                destination: Ranges::everywhere().without(&matches.destination),
                rule: Some(step.rule),
            }],
            rules: vec![step.rule],
        };
        if let Err(why) = accepted(&toml::snat(&["192.0.2.0/24"], &entry)) {
            return ledger.left_out(
                step.rule,
                format!("an [[snat]] of it would not be accepted: {why}"),
                AGAIN,
            );
        }
        self.without_exempted(entry, matches, exemptions, ledger);
    }
}

impl Sources<'_> {
    /// Of clients of the gateway it is a hairpin; of others it is something else.
    pub(super) fn finish(&mut self, ledger: &mut Ledger) {
        let clients = self.draft.clients();
        for (rule, matches) in std::mem::take(&mut self.hairpins) {
            if clients.covers(&matches.source) {
                let why = "clients reach a [[forward]] by the gateway, which sends the answers back by itself";
                ledger.group(
                    Kind::Kept,
                    [rule],
                    "hairpin",
                    why,
                    "nothing: it is not needed any more",
                );
            } else {
                ledger.left_out(rule, SOME_DESTINATIONS, ONE_ADDRESS);
            }
        }
    }

    /// A rule that sends the answers of a forward's client back by the gateway: a gateway of ours needs none.
    fn is_hairpin(&self, matches: &Matches) -> bool {
        let inside = self.draft.internal();
        let (from, to) = (&matches.source, &matches.destination);
        let forwarded = to.meets(&inside) && (inside.covers(to) || from.covers(to));
        forwarded
            && from.size() < HALF
            && to.size() < HALF
            && matches.others.is_empty()
            && !matches.ipv6
    }

    /// The clients by prefix, of a rule that tells them by the interface that they come in by.
    fn by_input(
        &mut self,
        rule: usize,
        matches: &mut Matches,
        ledger: &mut Ledger,
    ) -> Result<(), (&'static str, &'static str)> {
        if matches
            .input
            .covers(&Names::AllBut(["lo".to_owned()].into()))
        {
            return Ok(());
        }
        if let Some(here) = self.here {
            matches.source = matches.source.and(&here.routed(&matches.input));
            if matches.source.is_empty() {
                return Err(("this host has no route to clients there", AGAIN));
            }
        } else if matches.source.size() >= HALF {
            let why = "it names clients by interface; an [[snat]] does by prefix";
            return Err((
                why,
                "an [[snat]] with the prefixes behind it; or import --live on the gateway",
            ));
        } else {
            let why = "it is for what comes in by some interfaces; an [[snat]] is for its clients by whichever they come";
            let fix = "see that no others have these addresses; or import --live on the gateway";
            ledger.differs(rule, why, fix);
        }
        self.draft
            .interfaces
            .extend(matches.input.listed().cloned());
        if self.here.is_some() {
            matches.input = Names::any();
        }
        Ok(())
    }

    /// Of a rule for whatever leaves by an interface: clients are those that other interfaces lead to.
    fn name_clients(&self, rule: usize, matches: &mut Matches, ledger: &mut Ledger) {
        let (Some(here), Names::Only(_)) = (self.here, &matches.output) else {
            return;
        };
        let clients = here.behind(&matches.output);
        if matches.source != Ranges::everywhere() || clients.is_empty() {
            return;
        }
        let why = "it names no clients: they are what other interfaces of this host lead to";
        let fix = "see that none is missing in the [[snat]]";
        ledger.remark(Kind::Advice, rule, why, fix);
        here.tell_tunnelled(&matches.source.without(&clients), ledger);
        matches.source = clients;
    }

    fn without_exempted(
        &mut self,
        mut entry: Entry,
        mut matches: Matches,
        exemptions: &[Exemption],
        ledger: &mut Ledger,
    ) {
        let rule = entry.rules[0];
        self.name_clients(rule, &mut matches, ledger);
        if let Names::AllBut(names) = &entry.output {
            // `! -o eth1`: what goes back there is not translated, and it comes from there.
            let names: Vec<_> = names.iter().filter(|name| *name != "lo").cloned().collect();
            self.draft.interfaces.extend(names.iter().cloned());
            if !names.is_empty() && entry.source.size() < HALF {
                let destination = entry.source.clone();
                entry.exempt.push(Bypass {
                    destination,
                    rule: Some(rule),
                });
            }
        }
        for exemption in exemptions {
            if exemption.named || !exemption.matches.meets(&matches) {
                continue;
            }
            match effect(&exemption.matches, &matches, self.here) {
                Ok(Effect::Sources(sources)) => matches.source = matches.source.without(&sources),
                Ok(Effect::Destinations(destination)) => {
                    entry.exempt.push(Bypass {
                        destination,
                        rule: Some(exemption.rule),
                    });
                }
                Err(why) => ledger.left_out(exemption.rule, why, BYPASS),
            }
        }
        entry.source = matches.source;
        if let (Some(here), Names::Only(_)) = (self.here, &entry.output) {
            let destination = here.elsewhere(&entry.output);
            entry.exempt.push(Bypass {
                destination,
                rule: None,
            });
        }
        self.claim(entry, ledger);
    }

    /// What earlier rules have is theirs: the first that matches counts.
    fn claim(&mut self, mut entry: Entry, ledger: &mut Ledger) {
        let rule = entry.rules[0];
        let mut left = entry.source.clone();
        let (mut others, mut joined) = (Vec::new(), false);
        let Draft {
            entries,
            interfaces,
            ..
        } = &mut *self.draft;
        for earlier in entries
            .iter_mut()
            .filter(|one| one.source.meets(&entry.source))
        {
            match joins(earlier, &entry) {
                Join::Same => {
                    join(earlier, &entry, ledger);
                    joined = true;
                    interfaces.extend(entry.output.listed().cloned());
                }
                Join::Never => {}
                Join::Other(why) => {
                    let first = &ledger.said(earlier.rules[0]).at;
                    others.push(format!(
                        "{why}, and {first} has them for these clients already"
                    ));
                }
            }
            left = left.without(&earlier.source);
        }
        let why = others.join("; ");
        match (others.is_empty(), left.is_empty()) {
            (true, _) => ledger.translated(rule),
            (false, true) => return ledger.left_out(rule, why, ONE_EACH),
            (false, false) => ledger.differs(rule, why, ONE_EACH),
        }
        ledger.translated(rule);
        if !left.is_empty() {
            let whole = entry.source.prefixes().into_iter();
            entry.prefixes = whole
                .filter(|net| Ranges::from(*net).meets(&left))
                .collect();
            interfaces.extend(entry.output.listed().cloned());
            entries.push(entry);
        } else if !joined {
            ledger.remark(Kind::Advice, rule, UNREACHED, "it needs no entry");
        }
    }
}

const AGAIN: &str = "write an [[snat]] for these clients by hand";
const BYPASS: &str = "if all clients may go there untranslated, a [[bypass]] with the destination";
const SOME_DESTINATIONS: &str =
    "it is for some destinations only; an [[snat]] is for all but those of [[bypass]]";
const ONE_ADDRESS: &str = "these packets get the address of the entry that their client has: [[bypass]] the destination, or give the \
                           client one address";
const ONE_EACH: &str = "choose one for these clients: an [[snat]] is for all that they send";

/// Why no entry can say it.
fn unfit(matches: &Matches) -> Option<(String, &'static str)> {
    if matches.ipv6 {
        return Some((
            "IPv6 is not translated by the gateway, but left to the kernel".to_owned(),
            KEEP,
        ));
    }
    if !matches.others.is_empty() {
        let asked = matches.others.join(", ");
        let why = format!("it asks for \"{asked}\"; an [[snat]] asks for the client alone");
        return Some((
            why,
            "these packets are treated as the other entries say: see whether that will do",
        ));
    }
    if !matches.every_port() {
        let why = "it is for some ports only; an [[snat]] is for all that a client sends";
        return Some((
            why.to_owned(),
            "these packets are treated as the other entries say: see whether that will do",
        ));
    }
    if matches.destination.size() < HALF || matches.local {
        return Some((SOME_DESTINATIONS.to_owned(), ONE_ADDRESS));
    }
    if let Names::AllBut(names) = &matches.output
        && let Some(name) = names.iter().find(|name| is_bridge(name))
    {
        let why = format!(
            "it is for what is behind this host's own bridge {name}: not the gateway's clients"
        );
        return Some((
            why,
            "leave it to the program that made it; its ports must not be those of an [[snat]] (docs/limits.md)",
        ));
    }
    None
}

const KEEP: &str = "keep it: it goes on to work beside the gateway";
