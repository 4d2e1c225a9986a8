//! What the host has: interfaces, addresses, and everybody's routes and rules.

use std::{fs, net::IpAddr};

use ipnet::IpNet;

use super::{Family, Interface, MAIN, PROTOCOL, Route, RouteKind, Rule};
use crate::netlink::{self, InterfaceAddress, Link, NetlinkError};

/// `RT_SCOPE_UNIVERSE`: addresses that others can reach.
const UNIVERSE: u8 = 0;

/// One full look at the kernel's tables.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Interfaces.
    pub links: Vec<Link>,
    /// Their addresses.
    pub addresses: Vec<InterfaceAddress>,
    /// Routes of all tables but the local one.
    pub routes: Vec<Route>,
    /// Rules, IPv4 before IPv6.
    pub rules: Vec<Rule>,
}

impl Host {
    /// Looks.
    ///
    /// # Errors
    ///
    /// [`NetlinkError`] when one of the lists cannot be had.
    pub fn read() -> Result<Self, NetlinkError> {
        let links = netlink::links()?;
        Ok(Self {
            addresses: netlink::all_addresses()?,
            routes: netlink::routes(&links)?,
            rules: netlink::rules()?,
            links,
        })
    }

    /// Rules that we made.
    pub fn our_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.protocol == PROTOCOL)
    }

    /// Routes that we made.
    pub fn our_routes(&self) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(|route| route.protocol == PROTOCOL)
    }

    /// Rules that others made.
    pub fn foreign_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.protocol != PROTOCOL)
    }

    /// Routes that others made.
    pub fn foreign_routes(&self) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(|route| route.protocol != PROTOCOL)
    }

    /// Others' default routes in the main table.
    pub fn foreign_defaults(&self) -> impl Iterator<Item = &Route> {
        self.foreign_routes().filter(|route| {
            route.table == MAIN && route.is_default() && route.kind == RouteKind::Unicast
        })
    }

    /// An interface's addresses that others can reach, with their prefixes.
    pub fn addresses_of(&self, link: u32) -> impl Iterator<Item = IpNet> {
        self.addresses
            .iter()
            .filter(move |address| address.link == link && address.scope == UNIVERSE)
            .map(|address| address.net)
    }

    /// All interfaces, as far as policy routes have to do with them.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Interface> {
        self.links.iter().map(|link| self.interface(link)).collect()
    }

    /// Whether the kernel has this family: then it has rules of its own.
    #[must_use]
    pub fn speaks(&self, family: Family) -> bool {
        self.rules.iter().any(|rule| rule.family == family)
    }

    /// Whether any interface has the address.
    #[must_use]
    pub fn has_address(&self, addr: IpAddr) -> bool {
        self.addresses
            .iter()
            .any(|address| address.net.addr() == addr)
    }

    fn interface(&self, link: &Link) -> Interface {
        let by_it = |route: &&Route| route.dev.as_deref() == Some(&link.name);
        Interface {
            name: link.name.clone(),
            ifindex: link.index,
            mac: link.mac,
            addresses: self.addresses_of(link.index).collect(),
            default_routes: self.foreign_defaults().filter(by_it).cloned().collect(),
            network_file: network_file(link.index),
        }
    }
}

/// Where systemd-networkd says what it configures an interface from.
fn network_file(index: u32) -> Option<String> {
    let state = fs::read_to_string(format!("/run/systemd/netif/links/{index}")).ok()?;
    let mut lines = state.lines();
    lines.find_map(|line| Some(line.strip_prefix("NETWORK_FILE=")?.to_owned()))
}
