//! Between a route and the kernel's message of it.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RoutePreference,
    RouteProtocol, RouteScope, RouteType, RouteVia,
};

use crate::{
    eni::{Route, RouteKind},
    netlink::{Link, NetlinkError, family},
};

/// `None` for a message of neither IPv4 nor IPv6.
pub(crate) fn from_message(message: RouteMessage, links: &[Link]) -> Option<Route> {
    let header = message.header;
    let family = family::known(header.address_family)?;
    let mut route = Route {
        table: header.table.into(),
        destination: family.everything(),
        metric: 0,
        kind: kind(header.kind),
        gateway: None,
        dev: None,
        source: None,
        onlink: header.flags.contains(RouteFlags::Onlink),
        protocol: header.protocol.into(),
        scope: header.scope.into(),
        unknown: Vec::new(),
    };
    if header.tos != 0 {
        route.unknown.push(format!("tos {:#x}", header.tos));
    }
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => {
                route.destination =
                    IpNet::new(addr(&to)?, header.destination_prefix_length).ok()?;
            }
            RouteAttribute::Table(table) => route.table = table,
            RouteAttribute::Priority(metric) => route.metric = metric,
            RouteAttribute::Gateway(gateway) => route.gateway = addr(&gateway),
            RouteAttribute::PrefSource(source) => route.source = addr(&source),
            // One that leads nowhere is on `lo` in IPv6 and on no interface in IPv4.
            RouteAttribute::Oif(index) if leads_somewhere(route.kind) => {
                route.dev = Some(name(index, links));
            }
            RouteAttribute::Oif(_) => {}
            other => route.unknown.extend(words(&other, links)),
        }
    }
    Some(route)
}

pub(super) fn to_message(
    route: &Route,
    links: &[Link],
    command: &str,
) -> Result<RouteMessage, NetlinkError> {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = family::number(route.family());
    header.destination_prefix_length = route.destination.prefix_len();
    header.protocol = RouteProtocol::from(route.protocol);
    header.scope = RouteScope::from(route.scope);
    header.kind = route_type(route.kind);
    header.flags.set(RouteFlags::Onlink, route.onlink);
    let network = RouteAddress::from(route.destination.network());
    message.attributes = vec![
        RouteAttribute::Destination(network),
        RouteAttribute::Table(route.table),
        RouteAttribute::Priority(route.metric),
    ];
    let more = [
        route
            .gateway
            .map(|gateway| RouteAttribute::Gateway(gateway.into())),
        route
            .source
            .map(|source| RouteAttribute::PrefSource(source.into())),
        index(route, links, command)?.map(RouteAttribute::Oif),
    ];
    message.attributes.extend(more.into_iter().flatten());
    Ok(message)
}

/// What a route has besides, as `ip` says it; nothing for what every route has.
fn words(attribute: &RouteAttribute, links: &[Link]) -> Option<String> {
    match attribute {
        // ICMPV6_ROUTER_PREF_MEDIUM is what there is without one.
        RouteAttribute::Preference(RoutePreference::Medium) => None,
        RouteAttribute::CacheInfo(info) if info.expires == 0 => None,
        RouteAttribute::CacheInfo(_) => Some("expires".to_owned()),
        RouteAttribute::Preference(preference) => {
            Some(format!("pref {preference:?}").to_lowercase())
        }
        RouteAttribute::NhId(id) => Some(format!("nhid {id}")),
        RouteAttribute::MultiPath(hops) => Some(next_hops(hops, links)),
        RouteAttribute::Realm(realm) => {
            Some(format!("realms {}/{}", realm.source, realm.destination))
        }
        RouteAttribute::Metrics(metrics) => Some(format!("{metrics:?}").to_lowercase()),
        RouteAttribute::EncapType(encap) => Some(format!("encap {encap:?}").to_lowercase()),
        RouteAttribute::Encap(_) => None,
        RouteAttribute::Via(RouteVia::Inet6(gateway)) => Some(format!("via inet6 {gateway}")),
        RouteAttribute::Source(from) => addr(from).map(|from| format!("from {from}")),
        other => Some(format!(
            "attribute-{}",
            netlink_packet_core::Nla::kind(other)
        )),
    }
}

fn next_hops(hops: &[RouteNextHop], links: &[Link]) -> String {
    let hop = |hop: &RouteNextHop| {
        let gateway = hop.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(gateway) => addr(gateway),
            _ => None,
        });
        let via = gateway.map_or_else(String::new, |gateway| format!(" via {gateway}"));
        let weight = u16::from(hop.hops) + 1;
        let dev = name(hop.interface_index, links);
        format!("nexthop{via} dev {dev} weight {weight}")
    };
    hops.iter().map(hop).collect::<Vec<_>>().join(" ")
}

/// Also of a lookup.
pub(in crate::netlink) fn addr(addr: &RouteAddress) -> Option<IpAddr> {
    match *addr {
        RouteAddress::Inet(addr) => Some(addr.into()),
        RouteAddress::Inet6(addr) => Some(addr.into()),
        _ => None,
    }
}

fn name(index: u32, links: &[Link]) -> String {
    links
        .iter()
        .find(|link| link.index == index)
        .map_or_else(|| format!("if{index}"), |link| link.name.clone())
}

fn index(route: &Route, links: &[Link], command: &str) -> Result<Option<u32>, NetlinkError> {
    let Some(dev) = &route.dev else {
        return Ok(None);
    };
    let link = links.iter().find(|link| link.name == *dev);
    let missing = || NetlinkError::NoInterface {
        command: command.to_owned(),
        dev: dev.clone(),
    };
    link.map(|link| Some(link.index)).ok_or_else(missing)
}

/// Also what a lookup says.
pub(in crate::netlink) fn kind(kind: RouteType) -> RouteKind {
    match kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Unreachable => RouteKind::Unreachable,
        RouteType::Prohibit => RouteKind::Prohibit,
        RouteType::BlackHole => RouteKind::Blackhole,
        other => RouteKind::Other(other.into()),
    }
}

fn route_type(kind: RouteKind) -> RouteType {
    match kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Other(number) => RouteType::from(number),
    }
}

fn leads_somewhere(kind: RouteKind) -> bool {
    matches!(kind, RouteKind::Unicast | RouteKind::Other(_))
}
