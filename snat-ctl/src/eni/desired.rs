//! What the kernel should hold: the rules and routes of the configuration on this host.
//!
//! The ladder, counted from `routing.priority`:
//!
//! | priority | rules |
//! |---|---|
//! | +0 | destinations that the main table decides: `bypass`, and what is connected to interfaces that are no ENIs |
//! | +100 to +399 | `[[rule]]`, in the file's order |
//! | +400 | `from` each address and prefix of an ENI |
//! | +410 | sockets bound to an ENI's interface |
//! | +500 | `mark` |
//! | +600 | for balanced connections: whatever the main table knows better than by its default route |
//! | +601 | the marks that balanced connections have |

mod access;
mod balance;
mod tables;

use std::collections::BTreeSet;

use ipnet::IpNet;

pub use self::balance::slots;
pub(super) use self::tables::{guard_of, main_metric};
use super::{
    Action, Family, Host, MAIN, PROTOCOL, Route, RouteKind, Rule,
    resolve::{Found, Interface},
};
use crate::config::{Routing, RuleVerdict};

/// Rungs of the ladder.
mod rung {
    pub(super) const BYPASS: u32 = 0;
    pub(super) const ACCESS: u32 = 100;
    pub(super) const FROM: u32 = 400;
    pub(super) const BOUND: u32 = 410;
    pub(super) const MARK: u32 = 500;
    pub(super) const KNOWN: u32 = 600;
    pub(super) const BALANCE: u32 = 601;
}
/// How many priorities the ladder has.
pub const LADDER: u32 = 1000;

/// Priority of the rules that lead each source to its table.
pub(super) const fn from_priority(routing: &Routing) -> u32 {
    routing.priority + rung::FROM
}

/// Rules and routes, each with the reason for it in a few words, in the order in which they are to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Guards first, then connected prefixes, then default routes.
    pub routes: Vec<(Route, String)>,
    /// From the lowest priority to the highest.
    pub rules: Vec<(Rule, String)>,
}

/// Works it out.
#[must_use]
pub fn desired(routing: &Routing, found: &Found, host: &Host) -> Desired {
    let ladder = Ladder {
        base: routing.priority,
    };
    let mut desired = Desired::default();
    for interface in &found.interfaces {
        desired.routes.extend(tables::routes(interface, host));
    }
    // All guards first: no rule and no other route is made before them.
    desired
        .routes
        .sort_by_key(|(route, _)| route.kind == RouteKind::Unicast);
    if !found.interfaces.is_empty() {
        desired.rules.extend(bypass(ladder, routing, found, host));
    }
    desired.rules.extend(access::rules(ladder, routing, found));
    for interface in &found.interfaces {
        desired.rules.extend(sources(ladder, interface));
    }
    for interface in &found.interfaces {
        desired.rules.extend(marks(ladder, interface));
    }
    desired.rules.extend(balance::rules(ladder, routing, found));
    desired.rules.sort_by_key(|(rule, _)| rule.priority);
    let (mut routes, mut rules) = (BTreeSet::new(), BTreeSet::new());
    desired
        .routes
        .retain(|(route, _)| routes.insert(route.clone()));
    desired.rules.retain(|(rule, _)| rules.insert(rule.clone()));
    // A kernel with IPv6 switched off has no rules of it, and takes none.
    desired
        .routes
        .retain(|(route, _)| host.speaks(route.family()));
    desired.rules.retain(|(rule, _)| host.speaks(rule.family));
    desired
}

/// Where the ladder stands.
#[derive(Clone, Copy)]
struct Ladder {
    base: u32,
}

impl Ladder {
    fn rule(self, rung: u32, family: Family, action: Action) -> Rule {
        Rule::new(family, self.base + rung, PROTOCOL, action)
    }
}

/// A bridge or tunnel of this host is reached from an ENI's address too.
fn bypass(ladder: Ladder, routing: &Routing, found: &Found, host: &Host) -> Vec<(Rule, String)> {
    let mut rules = Vec::new();
    for prefix in &routing.bypass {
        let mut rule = ladder.rule(rung::BYPASS, family(*prefix), Action::Lookup(MAIN));
        rule.destination = Some(*prefix);
        rules.push((rule, "bypass: the main table decides".to_owned()));
    }
    let mut seen: BTreeSet<IpNet> = routing.bypass.iter().copied().collect();
    for route in host.foreign_routes() {
        let Some(dev) = &route.dev else { continue };
        if is_local_network(route) && !is_eni(dev, found, host) && seen.insert(route.destination) {
            let mut rule = ladder.rule(rung::BYPASS, route.family(), Action::Lookup(MAIN));
            rule.destination = Some(route.destination);
            // Should the interface go before this rule does, nothing leaves by a default route instead.
            rule.suppress_prefix_length = Some(0);
            rules.push((rule, format!("bypass: behind {dev}")));
        }
    }
    rules
}

/// What is connected. A prefix behind a gateway may be half of the Internet (as VPNs do it): that is for
/// `routing.bypass`.
fn is_local_network(route: &Route) -> bool {
    let shortest = match route.family() {
        Family::Inet => 8,
        Family::Inet6 => 16,
    };
    route.table == MAIN
        && route.kind == RouteKind::Unicast
        && route.gateway.is_none()
        && route.destination.prefix_len() >= shortest
        && !is_everywhere(route.destination)
}

/// What every link has: fe80::/10 and multicast.
fn is_everywhere(prefix: IpNet) -> bool {
    match prefix {
        IpNet::V4(net) => net.addr().is_multicast() || net.addr().is_loopback(),
        IpNet::V6(net) => {
            net.addr().is_unicast_link_local()
                || net.addr().is_multicast()
                || net.addr().is_loopback()
        }
    }
}

/// A way to the cloud: configured as one, or with a default route, or hardware.
fn is_eni(dev: &str, found: &Found, host: &Host) -> bool {
    let link = host.links.iter().find(|link| link.name == dev);
    found
        .interfaces
        .iter()
        .any(|interface| interface.name == dev)
        || host
            .foreign_defaults()
            .any(|route| route.dev.as_deref() == Some(dev))
        || dev == "lo"
        || link.is_some_and(|link| link.kind.is_none())
}

fn sources(ladder: Ladder, interface: &Interface) -> Vec<(Rule, String)> {
    let mut rules = Vec::new();
    let name = &interface.name;
    let lookup = Action::Lookup(interface.table);
    for family in Family::ALL {
        for source in interface.sources(family) {
            let mut rule = ladder.rule(rung::FROM, family, lookup);
            rule.source = Some(source);
            let own = source.prefix_len() == source.max_prefix_len();
            let what = if own { "address" } else { "prefix" };
            rules.push((rule, format!("{what} of {name}")));
        }
        if interface.speaks(family) {
            let mut rule = ladder.rule(rung::BOUND, family, lookup);
            rule.oif = Some(name.clone());
            rules.push((rule, format!("sockets bound to {name}")));
        }
    }
    rules
}

fn marks(ladder: Ladder, interface: &Interface) -> Vec<(Rule, String)> {
    let Some(mark) = interface.eni.mark else {
        return Vec::new();
    };
    let families = Family::ALL
        .into_iter()
        .filter(|family| interface.speaks(*family));
    families
        .map(|family| {
            let mut rule = ladder.rule(rung::MARK, family, Action::Lookup(interface.table));
            rule.mark = Some(mark);
            (rule, format!("mark of {}", interface.name))
        })
        .collect()
}

fn family(prefix: IpNet) -> Family {
    Family::of(prefix.addr())
}

/// The interface that a `[[rule]]` means by `lookup`.
fn interface_of<'a>(verdict: &RuleVerdict, found: &'a Found) -> Option<&'a Interface> {
    let RuleVerdict::Eni(wanted) = verdict else {
        return None;
    };
    found
        .interfaces
        .iter()
        .find(|interface| interface.name == *wanted || interface.eni.matcher.to_string() == *wanted)
}
