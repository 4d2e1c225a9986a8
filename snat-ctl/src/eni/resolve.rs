//! Finds the configured interfaces on the host: which link, which addresses, which next hop, which table.

mod distinct;

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::{Family, Host, MAIN};
use crate::{
    config::{Eni, Match, NextHop, Routing, mac_text},
    netlink::Link,
};

/// An `[[eni]]` that is there.
#[derive(Clone, Debug)]
pub struct Interface {
    /// What the configuration says of it.
    pub eni: Eni,
    /// Kernel's index.
    pub index: u32,
    /// Its name now.
    pub name: String,
    /// Its link-layer address.
    pub mac: Option<[u8; 6]>,
    /// Set up by the administrator: without that it takes no routes.
    pub up: bool,
    /// Up, and with a carrier.
    pub running: bool,
    /// Its addresses with their prefixes, in the kernel's order.
    pub addresses: Vec<IpNet>,
    /// Its table.
    pub table: u32,
    /// Next hops, at most one of each family.
    pub gateways: Vec<Gateway>,
}

/// A next hop and where it is known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its address.
    pub addr: IpAddr,
    /// `configured`, `default route of the main table`...
    pub found: &'static str,
    /// Outside of the interface's prefixes, reached by a route of its own.
    pub outside: bool,
}

impl Interface {
    /// Next hop of a family.
    #[must_use]
    pub fn gateway(&self, family: Family) -> Option<&Gateway> {
        self.gateways
            .iter()
            .find(|gateway| Family::of(gateway.addr) == family)
    }

    /// Addresses and delegated prefixes of a family: what has this interface as its source.
    pub fn sources(&self, family: Family) -> impl Iterator<Item = IpNet> {
        let own = self.addresses.iter().map(|net| IpNet::from(net.addr()));
        own.chain(self.eni.prefixes.iter().copied())
            .filter(move |net| Family::of(net.addr()) == family)
    }

    /// Whether packets can leave by it beyond its own subnets.
    #[must_use]
    pub fn leads_out(&self) -> bool {
        self.running && !self.addresses.is_empty() && !self.gateways.is_empty()
    }

    /// Whether it has anything to do with a family.
    #[must_use]
    pub fn speaks(&self, family: Family) -> bool {
        self.sources(family).next().is_some()
    }
}

/// The configured interfaces on this host.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Those that are there.
    pub interfaces: Vec<Interface>,
    /// Those that are not: each by its `match`.
    pub absent: Vec<String>,
    /// What cannot be right, one line each: an interface that it is about may be left out of the others.
    pub problems: Vec<String>,
    /// What a person should know: which next hop was guessed, and the like.
    pub notes: Vec<String>,
}

/// Looks for every `[[eni]]`. `tables` knows the table of each MAC.
#[must_use]
pub fn resolve(routing: &Routing, host: &Host, tables: &BTreeMap<String, u32>) -> Found {
    let mut found = Found::default();
    for eni in &routing.enis {
        let Some(link) = host.links.iter().find(|link| is_meant(&eni.matcher, link)) else {
            found.absent.push(eni.matcher.to_string());
            continue;
        };
        let Some(table) = eni.table.or_else(|| tables.get(&identity(link)).copied()) else {
            let problem = format!("{}: no table was allocated for it", link.name);
            found.problems.push(problem);
            continue;
        };
        match interface(eni, link, table, host) {
            Ok(interface) => found.interfaces.push(interface),
            Err(problem) => found.problems.push(problem),
        }
    }
    found.problems.extend(distinct::links(&found.interfaces));
    found
        .problems
        .extend(distinct::addresses(&found.interfaces));
    for interface in &found.interfaces {
        found.notes.extend(notes(interface));
    }
    found
}

/// What a link is remembered by: its MAC, or its name if it has none.
#[must_use]
pub fn identity(link: &Link) -> String {
    link.mac.map_or_else(|| link.name.clone(), mac_text)
}

/// Whether a `match` means this link.
#[must_use]
pub fn is_meant(matcher: &Match, link: &Link) -> bool {
    match matcher {
        Match::Name(name) => link.name == *name,
        Match::Mac(mac) => link.mac == Some(*mac) && !borrows_its_mac(link),
    }
}

/// What sits on top of an ENI has its MAC too.
fn borrows_its_mac(link: &Link) -> bool {
    const KINDS: [&str; 7] = [
        "bond", "bridge", "ipvlan", "macvlan", "macvtap", "team", "vlan",
    ];
    link.kind
        .as_deref()
        .is_some_and(|kind| KINDS.contains(&kind))
}

fn interface(eni: &Eni, link: &Link, table: u32, host: &Host) -> Result<Interface, String> {
    let mut interface = Interface {
        eni: eni.clone(),
        index: link.index,
        name: link.name.clone(),
        mac: link.mac,
        up: link.up,
        running: link.up && link.running,
        addresses: host.addresses_of(link.index).collect(),
        table,
        gateways: Vec::new(),
    };
    for family in Family::ALL {
        let gateway = gateway(&interface, family, host)?;
        interface.gateways.extend(gateway);
    }
    Ok(interface)
}

fn gateway(interface: &Interface, family: Family, host: &Host) -> Result<Option<Gateway>, String> {
    let wanted = match family {
        Family::Inet => interface.eni.gateway,
        Family::Inet6 => interface.eni.gateway6,
    };
    match wanted {
        NextHop::None => Ok(None),
        NextHop::Addr(addr) => given(interface, addr, host),
        NextHop::Auto => Ok(guess(interface, family, host)),
    }
}

/// `None` while the interface has no address from which it could be reached.
fn given(interface: &Interface, addr: IpAddr, host: &Host) -> Result<Option<Gateway>, String> {
    let name = &interface.name;
    if host.has_address(addr) {
        return Err(format!(
            "{name}: the gateway {addr} is an address of this host; name the next hop"
        ));
    }
    let inside = interface.addresses.iter().any(|net| net.contains(&addr)) || is_link_local(addr);
    let outside = !inside && on_link(interface, addr, host);
    let same_family = |net: &&IpNet| Family::of(net.addr()) == Family::of(addr);
    let mut prefixes: Vec<_> = interface
        .addresses
        .iter()
        .filter(same_family)
        .map(|net| net.trunc().to_string())
        .collect();
    prefixes.dedup();
    if !inside && !outside {
        if prefixes.is_empty() {
            return Ok(None);
        }
        return Err(format!(
            "{name}: the gateway {addr} is not on its link ({}); correct the address, or add a route to it: ip route add {addr} dev {name}",
            prefixes.join(", ")
        ));
    }
    Ok(Some(Gateway {
        addr,
        found: "configured",
        outside,
    }))
}

/// A route to the address itself, as DHCP leaves one for an address with a /32 prefix.
fn on_link(interface: &Interface, addr: IpAddr, host: &Host) -> bool {
    host.foreign_routes().any(|route| {
        route.table == MAIN
            && route.dev.as_deref() == Some(&interface.name)
            && route.gateway.is_none()
            && !route.is_default()
            && route.destination.contains(&addr)
    })
}

fn guess(interface: &Interface, family: Family, host: &Host) -> Option<Gateway> {
    let by_this = host
        .foreign_defaults()
        .find(|route| route.family() == family && route.dev.as_deref() == Some(&interface.name));
    if let Some(addr) = by_this.and_then(|route| route.gateway) {
        let inside = interface.addresses.iter().any(|net| net.contains(&addr));
        return Some(Gateway {
            addr,
            found: "default route of the main table",
            outside: !inside && !is_link_local(addr),
        });
    }
    let net = interface.addresses.iter().find(|net| {
        Family::of(net.addr()) == family && net.prefix_len() + 2 <= net.max_prefix_len()
    })?;
    // Not `hosts()`: of an IPv6 subnet that begins with the subnet-router anycast address.
    let first = match net.network() {
        IpAddr::V4(addr) => IpAddr::V4((u32::from(addr) + 1).into()),
        IpAddr::V6(addr) => IpAddr::V6((u128::from(addr) + 1).into()),
    };
    (!host.has_address(first)).then_some(Gateway {
        addr: first,
        found: "first address of the subnet",
        outside: false,
    })
}

fn is_link_local(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local())
}

fn notes(interface: &Interface) -> Vec<String> {
    let name = &interface.name;
    let mut notes = Vec::new();
    if interface.addresses.is_empty() {
        notes.push(format!(
            "{name} has no address yet: its rules come with its addresses"
        ));
    }
    for gateway in &interface.gateways {
        if gateway.found != "configured" {
            notes.push(format!(
                "{name}: gateway {}: {}",
                gateway.addr, gateway.found
            ));
        }
    }
    for family in Family::ALL {
        if interface.speaks(family) && interface.gateway(family).is_none() {
            notes.push(format!(
                "{name}: no {} gateway: only its own subnets are reached from its addresses",
                if family == Family::Inet {
                    "IPv4"
                } else {
                    "IPv6"
                }
            ));
        }
    }
    notes
}
