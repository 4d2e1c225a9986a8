//! What the kernel should answer, by our rules and tables alone.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use super::Question;
use crate::{
    eni::{Action, MAIN, Route, RouteKind, Rule, control::Prepared},
    netlink::Found,
};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// By this route.
    Way(Route),
    /// Refused in this way.
    Refused(RouteKind),
    /// None of our rules decides: whatever the main table says.
    Others,
}

impl Expected {
    /// Goes through our rules as the kernel does.
    #[must_use]
    pub fn of(question: &Question, prepared: &Prepared) -> Self {
        for (rule, _) in &prepared.desired.rules {
            if !matches(rule, question) {
                continue;
            }
            let table = match rule.action {
                Action::Unreachable => return Self::Refused(RouteKind::Unreachable),
                Action::Prohibit => return Self::Refused(RouteKind::Prohibit),
                Action::Blackhole => return Self::Refused(RouteKind::Blackhole),
                Action::Other(_) => continue,
                Action::Lookup(table) => table,
            };
            let Some(route) = best(table, question, prepared) else {
                continue;
            };
            let length = u32::from(route.destination.prefix_len());
            if rule
                .suppress_prefix_length
                .is_some_and(|most| length <= most)
            {
                continue;
            }
            return if route.kind == RouteKind::Unicast {
                Self::Way(route.clone())
            } else {
                Self::Refused(route.kind)
            };
        }
        Self::Others
    }

    /// Whether the kernel said so.
    #[must_use]
    pub fn is(&self, found: &Found, prepared: &Prepared) -> bool {
        match (self, found) {
            (
                Self::Way(route),
                Found::Route {
                    table,
                    dev,
                    gateway,
                    ..
                },
            ) => {
                let dev = dev.and_then(|dev| name_of(dev, prepared));
                (*table, dev, *gateway) == (route.table, route.dev.clone(), route.gateway)
            }
            (Self::Refused(kind), Found::Refused(found)) => kind == found,
            // Where a socket is bound to an interface, the kernel takes what nothing leads to for a neighbour
            // (`ip_route_output_key_hash_rcu`).
            (Self::Refused(_), Found::Route { table: 0, .. }) => true,
            // The kernel answers the same for a rule that says so.
            (Self::Refused(RouteKind::Unreachable), Found::NoRoute) => true,
            (Self::Others, Found::Route { table, .. }) => *table == MAIN,
            (Self::Others, Found::NoRoute) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Way(route) => way(f, route.table, route.dev.as_deref(), route.gateway),
            Self::Refused(kind) => f.write_str(word(*kind)),
            Self::Others => f.write_str("what the main table says"),
        }
    }
}

/// The longest prefix of a table around the destination, of equal ones that with the lowest metric.
fn best<'a>(table: u32, question: &Question, prepared: &'a Prepared) -> Option<&'a Route> {
    let ours = prepared.desired.routes.iter().map(|(route, _)| route);
    // What others put into an interface's own table is not meant, however good its metric.
    let is_own = table != MAIN && ours.clone().any(|route| route.table == table);
    let theirs = prepared.host.foreign_routes().filter(|_| !is_own);
    let destination = question.lookup.destination;
    ours.chain(theirs)
        .filter(|route| route.table == table && route.destination.contains(&destination))
        .filter(|route| question.oif.is_none() || route.dev.is_none() || route.dev == question.oif)
        .min_by_key(|route| {
            let length = route.destination.prefix_len();
            (std::cmp::Reverse(length), route.metric)
        })
}

fn matches(rule: &Rule, question: &Question) -> bool {
    let lookup = &question.lookup;
    let Rule {
        priority: _,
        family,
        protocol: _,
        inverted,
        source,
        destination,
        iif,
        oif,
        mark,
        ip_protocol,
        source_ports,
        destination_ports,
        suppress_prefix_length: _,
        action: _,
        unknown: _,
    } = rule;
    let incoming = question.iif.as_deref().unwrap_or("lo");
    let all = *family == question.family()
        && within(*source, lookup.source)
        && within(*destination, Some(lookup.destination))
        && iif.as_deref().is_none_or(|iif| iif == incoming)
        && (oif.is_none() || *oif == question.oif)
        && mark.is_none_or(|(mark, mask)| lookup.mark & mask == mark)
        && ip_protocol.is_none_or(|protocol| lookup.ip_protocol == Some(protocol))
        && between(*source_ports, lookup.source_port)
        && between(*destination_ports, lookup.destination_port);
    all != *inverted
}

fn within(prefix: Option<IpNet>, addr: Option<IpAddr>) -> bool {
    prefix.is_none_or(|prefix| addr.is_some_and(|addr| prefix.contains(&addr)))
}

fn between(ports: Option<(u16, u16)>, port: Option<u16>) -> bool {
    ports.is_none_or(|(first, last)| port.is_some_and(|port| (first..=last).contains(&port)))
}

/// `table 1001, eth1 via 172.16.20.253`.
pub(super) fn way(
    f: &mut fmt::Formatter<'_>,
    table: u32,
    dev: Option<&str>,
    gateway: Option<IpAddr>,
) -> fmt::Result {
    write!(f, "table {table}, {}", dev.unwrap_or("no interface"))?;
    match gateway {
        Some(gateway) => write!(f, " via {gateway}"),
        None => Ok(()),
    }
}

pub(super) const fn word(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Unicast => "unicast",
        RouteKind::Unreachable => "unreachable",
        RouteKind::Prohibit => "prohibited",
        RouteKind::Blackhole => "blackhole",
        RouteKind::Other(_) => "another type",
    }
}

pub(super) fn name_of(index: u32, prepared: &Prepared) -> Option<String> {
    let link = prepared.host.links.iter().find(|link| link.index == index);
    link.map(|link| link.name.clone())
}
