//! The routes of an interface: those of its own table, and its default route in the main one.

use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv6Net};

use super::super::{
    Family, Host, LAST_METRIC, MAIN, PROTOCOL, Route, RouteKind, resolve::Interface,
};

/// `RT_SCOPE_LINK`.
const LINK: u8 = 253;
/// `RTPROT_BOOT`, `_STATIC`, `_RA`, `_DHCP`.
const LEARNT_FROM: [u8; 4] = [3, 4, 9, 16];
const MOST_LEARNT: usize = 1000;
/// fe80::/64, as the kernel has it on every link.
const LINK_LOCAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 64);
/// Metric of a table's default route: one that no default route of the main table has, so that the datapath can tell
/// them apart (`bpf_fib_lookup` says the metric, not the table).
const TABLE_METRIC: u32 = 20_000;
/// What the kernel makes of an IPv6 route without a metric (`IP6_RT_PRIO_USER`), and of a connected one.
const V6_DEFAULT: u32 = 1024;
const V6_CONNECTED: u32 = 256;

pub(super) fn routes(interface: &Interface, host: &Host) -> Vec<(Route, String)> {
    let mut routes = Vec::new();
    for family in Family::ALL {
        if !interface.speaks(family) {
            continue;
        }
        let guard = format!("{}: nothing leaks by another interface", interface.name);
        routes.push((guard_of(interface.table, family), guard));
        // A route by a link that is down is refused.
        if interface.up {
            routes.extend(connected(interface, family));
            routes.extend(learnt(interface, family, host));
            routes.extend(default(interface, family, interface.table));
            routes.extend(main_default(interface, family, host));
        }
    }
    routes
}

/// What ends a table: `unreachable default`, worse than any other route.
#[must_use]
pub(in super::super) fn guard_of(table: u32, family: Family) -> Route {
    Route {
        table,
        destination: family.everything(),
        metric: LAST_METRIC,
        kind: RouteKind::Unreachable,
        gateway: None,
        dev: None,
        source: None,
        onlink: false,
        protocol: PROTOCOL,
        scope: 0,
        unknown: Vec::new(),
    }
}

fn by(interface: &Interface, destination: IpNet, table: u32) -> Route {
    Route {
        kind: RouteKind::Unicast,
        dev: Some(interface.name.clone()),
        destination,
        metric: 0,
        ..guard_of(table, Family::of(destination.addr()))
    }
}

fn on_link(interface: &Interface, destination: IpNet) -> Route {
    let mut route = by(interface, destination, interface.table);
    match route.family() {
        Family::Inet => route.scope = LINK,
        Family::Inet6 => route.metric = V6_CONNECTED,
    }
    route
}

fn connected(interface: &Interface, family: Family) -> Vec<(Route, String)> {
    let mut prefixes: Vec<_> = interface
        .addresses
        .iter()
        .map(IpNet::trunc)
        .filter(|net| Family::of(net.addr()) == family && net.prefix_len() < net.max_prefix_len())
        .collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    let mut routes: Vec<_> = prefixes
        .into_iter()
        .map(|net| {
            (
                on_link(interface, net),
                format!("subnet of {}", interface.name),
            )
        })
        .collect();
    if family == Family::Inet6 {
        // Sockets that are bound to the interface ask for it here.
        let route = on_link(interface, LINK_LOCAL.into());
        routes.push((route, format!("neighbours of {}", interface.name)));
    }
    if let Some(gateway) = interface.gateway(family).filter(|gateway| gateway.outside) {
        let route = on_link(interface, gateway.addr.into());
        routes.push((route, format!("gateway of {}", interface.name)));
    }
    routes
}

/// What the operating system knows to be behind other routers of this interface: the metadata service, a network of
/// one's own (DHCP option 121). Routing daemons may have a million; theirs are not taken.
fn learnt(interface: &Interface, family: Family, host: &Host) -> Vec<(Route, String)> {
    let connected = connected(interface, family);
    let is_connected = |route: &Route| {
        connected.iter().any(|(other, _)| {
            (other.destination, other.metric) == (route.destination, route.metric)
        })
    };
    let theirs = host.foreign_routes().filter(|route| {
        route.table == MAIN
            && route.family() == family
            && route.kind == RouteKind::Unicast
            && route.dev.as_deref() == Some(&interface.name)
            && !route.is_default()
            && route.unknown.is_empty()
            && LEARNT_FROM.contains(&route.protocol)
            && !is_connected(route)
    });
    let mut routes: Vec<_> = theirs
        .take(MOST_LEARNT)
        .map(|route| Route {
            table: interface.table,
            protocol: PROTOCOL,
            source: None,
            ..route.clone()
        })
        .collect();
    // What is on the link first: others are reached through it.
    routes.sort_by_key(|route| route.gateway.is_some());
    let why = format!("as in the main table, by {}", interface.name);
    routes
        .into_iter()
        .map(|route| (route, why.clone()))
        .collect()
}

fn default(interface: &Interface, family: Family, table: u32) -> Option<(Route, String)> {
    let gateway = interface.gateway(family)?;
    let mut route = by(interface, family.everything(), table);
    route.gateway = Some(gateway.addr);
    // The kernel asks the main table whether a gateway is on the link; that one need not know it.
    route.onlink = gateway.outside;
    route.metric = TABLE_METRIC;
    let name = &interface.name;
    Some((route, format!("out by {name}; gateway: {}", gateway.found)))
}

/// Only where nobody else has made one.
fn main_default(interface: &Interface, family: Family, host: &Host) -> Option<(Route, String)> {
    let metric = main_metric(interface, family)?;
    // Not beside another of the same metric either, which it would come before.
    let others = host.foreign_defaults().any(|route| {
        route.family() == family
            && (route.dev.as_deref() == Some(&interface.name) || route.metric == metric)
    });
    if others {
        return None;
    }
    let (mut route, _) = default(interface, family, MAIN)?;
    route.metric = metric;
    // Elsewhere the kernel asks the table itself; here it would ask our own rules whether the gateway is on the link.
    route.onlink = true;
    Some((route, format!("default_metric of {}", interface.name)))
}

/// Metric of the default route in the main table. It counts from that of a route for which none is given, so what
/// is behind the primary's route in IPv4 is so in IPv6.
pub(in super::super) fn main_metric(interface: &Interface, family: Family) -> Option<u32> {
    interface.gateway(family)?;
    let metric = interface.eni.default_metric?;
    Some(match family {
        Family::Inet => metric,
        Family::Inet6 => metric.saturating_add(V6_DEFAULT),
    })
}
