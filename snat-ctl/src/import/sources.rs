//! Rules that translate sources, as `[[snat]]` and `[[bypass]]`.

use super::{
    draft::{Bypass, Draft, Entry, accepted},
    host::Here,
    ledger::{Kind, Ledger},
    matches::Matches,
    model::Action,
    names::Names,
    owners::is_bridge,
    ranges::Ranges,
    toml,
    walk::{Exemption, Step, Visitor},
};

/// More than that is "everywhere but", less is "only there".
pub(super) const HALF: u64 = 1 << 31;

/// Reads the rules of POSTROUTING; forwards are known.
pub(super) struct Sources<'a> {
    pub(super) draft: &'a mut Draft,
    pub(super) here: Option<&'a Here>,
}

impl Visitor for Sources<'_> {
    fn step(&mut self, step: Step<'_>, exemptions: &[Exemption], ledger: &mut Ledger) {
        let Action::Source { to, ports } = step.action else {
            return ledger.left_out(step.rule, "it changes destinations behind the route", AGAIN);
        };
        if self.is_hairpin(&step.matches) {
            return ledger.translated(step.rule);
        }
        if let Some((why, fix)) = unfit(&step.matches) {
            return ledger.left_out(step.rule, why, fix);
        }
        let entry = Entry {
            prefixes: Vec::new(),
            source: step.matches.source.clone(),
            external: to.clone(),
            ports: ports.clone(),
            output: step.matches.output.clone(),
            protocol: step.matches.protocol.clone(),
            exempt: vec![Bypass {
                destination: Ranges::everywhere().without(&step.matches.destination),
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
        self.without_exempted(entry, step.matches, exemptions, ledger);
    }
}

impl Sources<'_> {
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

    fn without_exempted(
        &mut self,
        mut entry: Entry,
        mut matches: Matches,
        exemptions: &[Exemption],
        ledger: &mut Ledger,
    ) {
        let rule = entry.rules[0];
        if let (Some(here), Names::Only(_)) = (self.here, &entry.output)
            && matches.source == Ranges::everywhere()
        {
            let clients = here.behind(&entry.output);
            if !clients.is_empty() {
                let why =
                    "it names no clients: they are what other interfaces of this host lead to";
                ledger.remark(
                    Kind::Advice,
                    rule,
                    why,
                    "see that none is missing in the [[snat]]",
                );
                matches.source = clients;
            }
        }
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
            if !exemption.matches.meets(&matches) {
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
        let mut others = Vec::new();
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
                    join(earlier, &entry);
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
        }
    }
}

const AGAIN: &str = "write an [[snat]] for these clients by hand";
const BYPASS: &str = "if all clients may go there untranslated, a [[bypass]] with the destination";
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
        let why =
            "it is for some destinations only; an [[snat]] is for all but those of [[bypass]]";
        return Some((
            why.to_owned(),
            "if it is for clients who speak to each other by the external address: no rule is needed",
        ));
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

enum Effect {
    Sources(Ranges),
    Destinations(Ranges),
}

/// What packets that are let go before mean to a rule; or why that cannot be said.
fn effect(exempt: &Matches, rule: &Matches, here: Option<&Here>) -> Result<Effect, String> {
    if !exempt.others.is_empty() {
        let asked = exempt.others.join(", ");
        return Err(format!(
            "it asks for \"{asked}\"; what is not translated is told by client or destination"
        ));
    }
    let every = exempt.protocol.covers(&rule.protocol)
        && exempt.destination_ports.covers(&rule.destination_ports)
        && exempt.source_ports.covers(&rule.source_ports)
        && exempt.input.covers(&rule.input)
        && !exempt.local;
    if !every {
        return Err("it is for some protocols, ports or interfaces only; what is not translated is told by client or destination".to_owned());
    }
    let all_clients = exempt.source.covers(&rule.source);
    let all_servers = exempt.destination.covers(&rule.destination);
    if !exempt.output.covers(&rule.output) {
        let routed = here.filter(|_| all_clients && all_servers);
        return match (&exempt.output, routed) {
            (Names::Only(names), Some(here)) => Ok(Effect::Destinations(
                here.elsewhere(&Names::AllBut(names.clone())),
            )),
            _ => Err(
                "it is by interface; what is not translated is told by client or destination"
                    .to_owned(),
            ),
        };
    }
    if all_servers {
        Ok(Effect::Sources(exempt.source.clone()))
    } else if all_clients {
        Ok(Effect::Destinations(exempt.destination.clone()))
    } else {
        Err(
            "it is for some clients and some destinations; a [[bypass]] is for all clients"
                .to_owned(),
        )
    }
}

enum Join {
    /// One entry says both.
    Same,
    /// The later is never reached.
    Never,
    /// The later says something else, and this is the difference.
    Other(&'static str),
}

fn joins(earlier: &Entry, later: &Entry) -> Join {
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

fn join(earlier: &mut Entry, later: &Entry) {
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
