//! Rules that translate destinations, as `[[forward]]`.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddrV4},
};

use super::{
    draft::{self, Draft, Forward},
    host::Here,
    ledger::Ledger,
    matches::{Matches, TCP, UDP},
    model::{Action, Target},
    names::Names,
    ranges::{self, Ranges},
    sources::HALF,
    toml,
    walk::{Exemption, Step, Visitor},
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
                self.add(forwards);
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

    /// Of the same endpoint the first rule counts.
    fn add(&mut self, forwards: Vec<Forward>) {
        for forward in forwards {
            let taken = |one: &Forward| {
                one.protocol == forward.protocol && one.external == forward.external
            };
            if !self.draft.forwards.iter().any(taken) {
                self.draft.forwards.push(forward);
            }
        }
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

/// Why, and what to do.
type Wrong = (String, String);

const BY_HAND: &str = "write a [[forward]] by hand, if there is one for what is meant";

fn same(one: &Forward, other: &Forward) -> bool {
    (one.protocol, one.external, one.internal) == (other.protocol, other.external, other.internal)
}

fn unfit(matches: &Matches) -> Result<(), Wrong> {
    let wrong = |why: &str, fix: &str| Err((why.to_owned(), fix.to_owned()));
    if matches.ipv6 {
        return wrong(
            "IPv6 is not translated by the gateway, but left to the kernel",
            "keep it",
        );
    }
    if !matches.others.is_empty() {
        let why = format!(
            "it asks for \"{}\"; a [[forward]] asks for protocol, address and port",
            matches.others.join(", ")
        );
        return wrong(&why, BY_HAND);
    }
    if matches.source.size() < HALF {
        let fix = "a [[forward]], and whom it is for in the VPC's security group";
        return wrong("it is for some senders only; a [[forward]] is for all", fix);
    }
    if !Ranges::of(vec![(TCP, TCP), (UDP, UDP)]).covers(&matches.protocol) {
        let fix = "a [[forward]] for each TCP and UDP port that is in use";
        return wrong("it is not for TCP or UDP alone, as a [[forward]] is", fix);
    }
    if matches.destination_ports.size() > u64::from(u16::MAX) {
        let fix = "a [[forward]] for each port that is in use";
        return wrong("it is for every port; a [[forward]] is for one", fix);
    }
    let others = Ranges::up_to(u16::MAX.into());
    if matches.source_ports != others {
        return wrong(
            "it is for some ports of the sender only; a [[forward]] is for all",
            BY_HAND,
        );
    }
    Ok(())
}

/// Takes out what is let go before; or says why that cannot be.
fn exempt(matches: &mut Matches, let_go: &Matches) -> Result<(), String> {
    let all_but = |kept: fn(&mut Matches)| {
        let mut wide = let_go.clone();
        kept(&mut wide);
        let whole = |one: &Matches| wide.and(one) == *one;
        whole(&Matches {
            others: Vec::new(),
            ..matches.clone()
        })
    };
    if let_go.others.is_empty() && all_but(|wide| wide.destination = Ranges::everywhere()) {
        matches.destination = matches.destination.without(&let_go.destination);
        Ok(())
    } else if let_go.others.is_empty()
        && all_but(|wide| wide.destination_ports = Ranges::up_to(u16::MAX.into()))
    {
        matches.destination_ports = matches.destination_ports.without(&let_go.destination_ports);
        Ok(())
    } else {
        Err("it lets some packets go before they are forwarded; a [[forward]] is for all that come to its port".to_owned())
    }
}

/// How ports are told from each other behind the forward.
fn to_port(ports: &Ranges, to: Option<&str>) -> Result<impl Fn(u32) -> u16 + use<>, Wrong> {
    let (range, base) = match to.map(|to| to.split_once('/').unwrap_or((to, ""))) {
        None => (None, None),
        Some((range, base)) => (ranges::ports(range), base.parse::<u32>().ok()),
    };
    let one = range
        .filter(|(first, last)| first == last)
        .map(|(first, _)| first);
    let stays = range.is_some_and(|range| Ranges::of(vec![range]) == *ports) && base.is_none();
    let shift = range
        .zip(base)
        .map(|((first, _), base)| i64::from(first) - i64::from(base));
    if to.is_some() && one.is_none() && !stays && shift.is_none() {
        let why = format!(
            "it leads to any of the ports {}; a [[forward]] leads to one",
            to.unwrap_or_default()
        );
        return Err((why, BY_HAND.to_owned()));
    }
    Ok(move |port: u32| {
        let shifted = i64::from(port) + shift.unwrap_or_default();
        one.unwrap_or(shifted.clamp(0, u16::MAX.into()) as u32) as u16
    })
}

fn unknown_address(matches: &Matches, internal: Ipv4Addr, target: &Target) -> Wrong {
    let ports = &matches.destination_ports;
    let port = ports.each().next().unwrap_or_default();
    let to = target.port.clone().unwrap_or_else(|| port.to_string());
    let tcp = matches.protocol.meets(&Ranges::of(vec![(TCP, TCP)]));
    let protocol = if tcp { "tcp" } else { "udp" };
    let whose = match matches.input.listed().next() {
        Some(name) => format!("the address of {name}"),
        None => "the external address".to_owned(),
    };
    let fix = format!(
        "with {whose} for ADDRESS: [[forward]] protocol = \"{protocol}\", external = \"ADDRESS:{port}\", \
         internal = \"{internal}:{to}\"; or import --live on the gateway"
    );
    (
        "it names no address that packets come to; a [[forward]] does".to_owned(),
        fix,
    )
}
