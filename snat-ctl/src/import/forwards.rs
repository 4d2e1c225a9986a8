//! Rules that translate destinations, as `[[forward]]`.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddrV4},
};

use super::{
    draft::{self, Draft, Forward},
    forward_fit::{BY_HAND, Wrong, exempt, to_port, unfit, unknown_address},
    host::Here,
    ledger::{Kind, Ledger},
    matches::Matches,
    model::{Action, Target},
    names::Names,
    ranges::Ranges,
    toml,
    walk::{Exemption, Step, UNREACHED, Visitor},
};

/// Most of one rule: beyond that a person should say what is meant.
const MOST: u64 = 256;

/// Reads the rules of PREROUTING.
pub(super) struct Forwards<'a> {
    pub(super) draft: &'a mut Draft,
    pub(super) here: Option<&'a Here>,
    /// By which sources are translated, if rules say so: the Internet is there.
    pub(super) outside: BTreeSet<String>,
    /// Those for what comes in from clients, until all others are known.
    pub(super) inside: Vec<Inside>,
}

/// Forwards for what comes in from clients.
pub(super) struct Inside {
    rule: usize,
    forwards: Vec<Forward>,
}

impl Visitor for Forwards<'_> {
    fn step(&mut self, step: Step<'_>, exemptions: &[Exemption], ledger: &mut Ledger) {
        let Action::Destination(target) = step.action else {
            return ledger.left_out(step.rule, "it changes sources before the route", BY_HAND);
        };
        let mut matches = step.matches;
        for exemption in exemptions {
            if exemption.matches.meets(&matches)
                && let Err(why) = exempt(&mut matches, &exemption.matches)
            {
                ledger.left_out(
                    exemption.rule,
                    why,
                    "leave the forwards out that it is meant to keep from working",
                );
            }
        }
        if matches.is_empty() {
            ledger.translated(step.rule);
            return ledger.remark(Kind::Advice, step.rule, UNREACHED, "it needs no entry");
        }
        match self.forwards(step.rule, &matches, target) {
            Err((why, fix)) => ledger.left_out(step.rule, why, fix),
            Ok(forwards) if self.for_clients(&matches.input) => {
                self.inside.push(Inside {
                    rule: step.rule,
                    forwards,
                });
            }
            Ok(forwards) => {
                if matches.source != Ranges::everywhere() {
                    let why = "it is not for all who come; a [[forward]] is";
                    ledger.differs(
                        step.rule,
                        why,
                        "what must be kept out: in the VPC's security group",
                    );
                }
                self.draft
                    .interfaces
                    .extend(matches.input.listed().cloned());
                ledger.translated(step.rule);
                if !self.add(forwards) {
                    ledger.remark(Kind::Advice, step.rule, UNREACHED, "it needs no entry");
                }
            }
        }
    }
}

impl Forwards<'_> {
    /// Clients reach a forward anyway; what else comes in from them and is led elsewhere is not for a gateway.
    pub(super) fn finish(&mut self, ledger: &mut Ledger) {
        for inside in std::mem::take(&mut self.inside) {
            let known = |one: &Forward| self.draft.forwards.iter().any(|other| same(one, other));
            if inside.forwards.iter().all(known) {
                ledger.translated(inside.rule);
            } else {
                let why = "it leads clients' own packets to another host; a [[forward]] is for what comes from outside";
                ledger.left_out(inside.rule, why, BY_HAND);
            }
        }
    }

    fn for_clients(&self, input: &Names) -> bool {
        let named = input.listed().count() > 0;
        named && !self.outside.is_empty() && !self.outside.iter().any(|name| input.holds(name))
    }

    /// Of the same endpoint the first rule counts: whether these add anything.
    fn add(&mut self, forwards: Vec<Forward>) -> bool {
        let before = self.draft.forwards.len();
        for forward in forwards {
            let taken = |one: &Forward| {
                one.protocol == forward.protocol && one.external == forward.external
            };
            if !self.draft.forwards.iter().any(taken) {
                self.draft.forwards.push(forward);
            }
        }
        self.draft.forwards.len() > before
    }

    fn forwards(
        &self,
        rule: usize,
        matches: &Matches,
        target: &Target,
    ) -> Result<Vec<Forward>, Wrong> {
        unfit(matches)?;
        let internal = draft::address(&target.addr).ok_or_else(|| {
            let why = format!(
                "it leads to {}; a [[forward]] leads to one IPv4 address",
                target.addr
            );
            (why, BY_HAND.to_owned())
        })?;
        let to_port = to_port(&matches.destination_ports, target.port.as_deref())?;
        let externals = self.externals(matches, internal, target)?;
        let ports = &matches.destination_ports;
        let count = ports.size() * externals.len() as u64 * matches.protocol.size();
        if count > MOST {
            let why = format!(
                "it would be {count} [[forward]], more than the {MOST} that are written for one rule"
            );
            return Err((why, "a [[forward]] for each port that is in use".to_owned()));
        }
        let mut all = Vec::new();
        for protocol in matches.protocol.each() {
            for external in &externals {
                all.extend(ports.each().map(|port| Forward {
                    protocol,
                    external: SocketAddrV4::new(*external, port as u16),
                    internal: SocketAddrV4::new(internal, to_port(port)),
                    rule,
                }));
            }
        }
        let sections: String = all.iter().map(toml::forward).collect();
        draft::accepted(&format!(
            "[[snat]]\nsource = [\"192.0.2.0/24\"]\n{sections}"
        ))
        .map_err(|why| {
            (
                format!("a [[forward]] of it would not be accepted: {why}"),
                BY_HAND.to_owned(),
            )
        })?;
        Ok(all)
    }

    /// The addresses that it is for: those it names, or this host's.
    fn externals(
        &self,
        matches: &Matches,
        internal: Ipv4Addr,
        target: &Target,
    ) -> Result<Vec<Ipv4Addr>, Wrong> {
        if matches.destination.size() <= MOST && !matches.local {
            return Ok(matches.destination.each().map(Ipv4Addr::from).collect());
        }
        let own = self.here.map(|here| {
            let by = |name: &String| match &matches.input {
                Names::Only(_) => matches.input.holds(name),
                // What comes in by any is what comes in from the Internet: clients need no rule.
                Names::AllBut(_) => {
                    self.outside.contains(name) || here.outside().any(|outside| outside == name)
                }
            };
            let own = here
                .addresses
                .iter()
                .filter(|(_, name)| by(name))
                .map(|(addr, _)| *addr);
            own.filter(|addr| {
                matches
                    .destination
                    .meets(&Ranges::of(vec![(u32::from(*addr), u32::from(*addr))]))
            })
            .collect()
        });
        match own {
            Some(own) if !Vec::<Ipv4Addr>::is_empty(&own) => Ok(own),
            _ => Err(unknown_address(matches, internal, target)),
        }
    }
}

fn same(one: &Forward, other: &Forward) -> bool {
    (one.protocol, one.external, one.internal) == (other.protocol, other.external, other.internal)
}
