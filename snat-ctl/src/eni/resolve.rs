//! Finds the configured interfaces on the host: which link, which addresses, which next hop, which table.

mod distinct;
mod gateway;

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

pub use self::gateway::Gateway;
use self::gateway::Source;
use super::{Family, Host};
use crate::{
    config::{Eni, Match, Routing, mac_text},
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

    /// Next hops that the operating system knew, to be remembered.
    pub fn learnt_gateways(&self) -> impl Iterator<Item = IpAddr> {
        let learnt = [Source::MainTable, Source::Before];
        let gateways = self.gateways.iter();
        gateways
            .filter(move |gateway| learnt.contains(&gateway.found))
            .map(|gateway| gateway.addr)
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

/// Looks for every `[[eni]]`. `tables` knows the table of each MAC, `before` the next hops found earlier by `match`.
#[must_use]
pub fn resolve(
    routing: &Routing,
    host: &Host,
    tables: &BTreeMap<String, u32>,
    before: &BTreeMap<String, Vec<IpAddr>>,
) -> Found {
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
        let before = before.get(&eni.matcher.to_string());
        let before = before.map(Vec::as_slice).unwrap_or_default();
        match interface(eni, link, table, host, before) {
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

fn interface(
    eni: &Eni,
    link: &Link,
    table: u32,
    host: &Host,
    before: &[IpAddr],
) -> Result<Interface, String> {
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
        let gateway = gateway::find(&interface, family, host, before)?;
        interface.gateways.extend(gateway);
    }
    Ok(interface)
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
        if gateway.found != Source::Configured {
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
