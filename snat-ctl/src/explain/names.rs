//! What people call the things that the engine knows by number.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
};

use snat_common::{Addr, Route, RouteKind, RouteQuery};

use super::{file::File, packet::protocol};
use crate::{
    datapath::known_protocol,
    instance::Record,
    netlink::{self, Found, Link, Lookup, NetlinkError, lookup},
};

/// Names of an instance's entries and of the host's interfaces, and the configuration they came from.
pub(super) struct Names {
    pub(super) links: Vec<Link>,
    pub(super) file: File,
    /// By their index in the map.
    entries: HashMap<u32, String>,
}

impl Names {
    /// Those of the instance `name`, in this network namespace.
    pub(super) fn of(name: &str) -> Result<Self, NetlinkError> {
        let record = Record::read(name);
        let path = record.as_ref().map(|record| record.config.clone());
        Ok(Self {
            links: netlink::links()?,
            file: File::read(path),
            entries: record
                .map(|record| record.slots.into_iter().zip(record.entries).collect())
                .unwrap_or_default(),
        })
    }

    /// An interface, as `ip` writes one that is gone.
    pub(super) fn interface(&self, index: u32) -> String {
        let link = self.links.iter().find(|link| link.index == index);
        link.map_or_else(|| format!("if{index}"), |link| link.name.clone())
    }

    /// An SNAT entry by its index.
    pub(super) fn entry(&self, index: u32) -> String {
        let name = self.entries.get(&index);
        name.map_or_else(
            || format!("number {}", index + 1),
            |name| format!("{name:?}"),
        )
    }

    /// A FIB answer, and the table it is from.
    pub(super) fn route(
        &self,
        query: &RouteQuery,
        ingress: u32,
        route: &Route,
    ) -> (String, String) {
        let dst = match Ipv4Addr::from(query.dst) {
            Ipv4Addr::UNSPECIFIED => "to outside".to_owned(),
            dst => dst.to_string(),
        };
        let found = by_netlink(query, ingress);
        let rests_on = found.as_ref().map_or_else(
            || "the kernel's route lookup".to_owned(),
            |found| match found {
                Found::Route { table, .. } => format!("route table {}", table_name(*table)),
                Found::Refused(kind) => format!("a route or rule of kind {kind:?}").to_lowercase(),
                Found::NoRoute => "no route in any table".to_owned(),
            },
        );
        let dev = self.interface(route.ifindex);
        let gateway = Ipv4Addr::from(route.gateway);
        let way = if route.gateway == query.dst || route.gateway == [0; 4] {
            format!("{dst}: on the link of {dev}")
        } else {
            format!("{dst}: via {gateway} dev {dev}")
        };
        let detail = match route.kind {
            RouteKind::Ready => format!("{way}, MTU {}, at {}", route.mtu, mac(route.mac)),
            RouteKind::NoNeighbour => format!(
                "{way}, MTU {}, whose link-layer address the kernel has yet to find",
                route.mtu
            ),
            RouteKind::NotForwarded => format!("{dst}: {}", no_way(found.as_ref())),
            RouteKind::Unusable => {
                format!(
                    "{dst}: a kind of route that is not taken from here (encapsulation and the like)"
                )
            }
        };
        (detail, rests_on)
    }
}

/// An address and port, as the protocol has them.
pub(super) fn endpoint(addr: Addr, port: u16) -> String {
    match port {
        0 => Ipv4Addr::from(addr).to_string(),
        port => SocketAddrV4::new(addr.into(), port).to_string(),
    }
}

/// A link-layer address.
pub(super) fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A number of [`snat_common::settings::Filtering`], as in the configuration.
pub(super) const fn filtering(number: u8) -> &'static str {
    match number {
        0 => "address-and-port-dependent",
        1 => "address-dependent",
        _ => "endpoint-independent",
    }
}

/// A period in ticks, in seconds.
pub(super) fn period(ticks: u32) -> String {
    let seconds = (u64::from(ticks) << snat_common::settings::TICK_SHIFT) as f64 / 1e9;
    if seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    humantime::format_duration(std::time::Duration::from_secs(seconds as u64)).to_string()
}

/// A protocol by IP's number.
#[must_use]
pub fn protocol_name(number: u8) -> String {
    known_protocol(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// What netlink says of the same question: it knows the table, which the FIB helper does not tell.
fn by_netlink(query: &RouteQuery, ingress: u32) -> Option<Found> {
    let has_ports = matches!(query.protocol, protocol::TCP | protocol::UDP);
    let port = |port: u16| (has_ports && port != 0).then_some(port);
    let question = Lookup {
        source: Some(IpAddr::V4(query.src.into())),
        iif: Some(ingress),
        ip_protocol: (has_ports || query.protocol == protocol::ICMP).then_some(query.protocol),
        source_port: port(query.ports.0),
        destination_port: port(query.ports.1),
        ..Lookup::to(IpAddr::V4(query.dst.into()))
    };
    // With one of the host's own addresses as source, the kernel takes only its own packets.
    let own = Lookup {
        iif: None,
        ..question
    };
    match lookup(&question) {
        Ok(Found::Refused(crate::eni::RouteKind::Blackhole)) | Err(_) => lookup(&own).ok(),
        Ok(found) => Some(found),
    }
}

fn no_way(found: Option<&Found>) -> &'static str {
    match found {
        Some(Found::Route { .. }) => "delivered to this host, or not forwarded",
        Some(Found::NoRoute) => "no route",
        Some(Found::Refused(_)) => "refused by a route or rule, or forwarding is off",
        None => "not forwarded",
    }
}

fn table_name(table: u32) -> String {
    match table {
        253 => "default".to_owned(),
        254 => "main".to_owned(),
        255 => "local".to_owned(),
        table => table.to_string(),
    }
}
