//! The routes of an interface: those of its own table, and its default route in the main one.

use ipnet::IpNet;

use super::super::{
    Family, Host, LAST_METRIC, MAIN, PROTOCOL, Route, RouteKind, resolve::Interface,
};

/// `RT_SCOPE_LINK`.
const LINK: u8 = 253;
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
    if let Some(gateway) = interface.gateway(family).filter(|gateway| gateway.outside) {
        let route = on_link(interface, gateway.addr.into());
        routes.push((route, format!("gateway of {}", interface.name)));
    }
    routes
}

fn default(interface: &Interface, family: Family, table: u32) -> Option<(Route, String)> {
    let gateway = interface.gateway(family)?;
    let mut route = by(interface, family.everything(), table);
    route.gateway = Some(gateway.addr);
    // The kernel asks the main table whether a gateway is on the link; that one need not know it.
    route.onlink = gateway.outside;
    route.metric = TABLE_METRIC;
    let name = &interface.name;
    Some((route, format!("out by {name}, gateway {}", gateway.found)))
}

/// Only where nobody else has made one.
fn main_default(interface: &Interface, family: Family, host: &Host) -> Option<(Route, String)> {
    let metric = main_metric(interface, family)?;
    let others = host
        .foreign_defaults()
        .any(|route| route.family() == family && route.dev.as_deref() == Some(&interface.name));
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
