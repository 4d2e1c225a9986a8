//! Routes: which table is which ENI's, by which gateway, and what an ENI's entry says without them.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::Said, Work, gateway};
use crate::{
    config::NextHop,
    eni::{Family, MAIN, Route, RouteKind},
};

/// `RTPROT_BOOT`: made by hand.
const BOOT: u8 = 3;

impl Work<'_> {
    pub(super) fn routes(&mut self, routes: &[Said<Route>]) {
        self.find_tables(routes);
        // Default routes first: they tell the gateway, which others may lead to.
        let (defaults, others): (Vec<_>, Vec<_>) =
            routes.iter().partition(|route| route.what.is_default());
        self.no_gateway_yet(routes);
        for route in defaults.into_iter().chain(others) {
            match route.what.table {
                // The kernel's own: `RT_TABLE_LOCAL`, and what has no table.
                255 | 0 => {}
                MAIN => self.in_main(route),
                _ => self.in_table(route),
            }
        }
    }

    fn find_tables(&mut self, routes: &[Said<Route>]) {
        let mut devices: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
        let mut order = Vec::new();
        for route in routes.iter().map(|route| &route.what) {
            if let (Some(dev), false) = (&route.dev, matches!(route.table, 0 | 253..=255)) {
                devices.entry(route.table).or_default().insert(dev);
                order.push((route.table, dev));
            }
        }
        for (table, dev) in order {
            if devices[&table].len() == 1 {
                self.tables.insert(table, dev.clone());
                self.eni(dev).table.get_or_insert(table);
            }
        }
    }

    /// A table that has routes of a family but no default route is one without a gateway.
    fn no_gateway_yet(&mut self, routes: &[Said<Route>]) {
        for route in routes.iter().map(|route| &route.what) {
            if let Some(dev) = self.tables.get(&route.table).cloned() {
                *gateway(self.eni(&dev), route.family()) = NextHop::None;
            }
        }
    }

    fn in_table(&mut self, said: &Said<Route>) {
        let route = &said.what;
        let Some(dev) = self.tables.get(&route.table).cloned() else {
            return self.note(
                said,
                "its table leads by no interface, or by several: no ENI has it",
            );
        };
        if !route.unknown.is_empty() {
            return self.note(said, "it has parts that the configuration has no key for");
        }
        match (route.is_default(), route.kind) {
            (true, RouteKind::Unicast) => self.default_route(said, &dev),
            // The guard, which every table gets.
            (true, RouteKind::Unreachable) => {}
            _ if self.is_connected(route, &dev) => {}
            _ => self.note(
                said,
                "an ENI's table has its subnets and a default route only",
            ),
        }
    }

    fn default_route(&mut self, said: &Said<Route>, dev: &str) {
        let Some(via) = said.what.gateway else {
            return self.note(
                said,
                "a default route without a gateway cannot be configured",
            );
        };
        let table = said.what.table;
        let eni = self.eni(dev);
        let other_table = eni.table.filter(|first| *first != table);
        let next_hop = gateway(eni, said.what.family());
        match next_hop {
            NextHop::Addr(first) if *first != via => {
                let why = format!("{dev} has the gateway {first} already");
                return self.note(said, &why);
            }
            _ => *next_hop = NextHop::Addr(via),
        }
        if let Some(first) = other_table {
            self.note(
                said,
                &format!("table {first} of {dev} gets this route, too; there is one table an ENI"),
            );
        }
    }

    /// A subnet of the interface, or a way to its gateway: an ENI's table has those without being told.
    fn is_connected(&mut self, route: &Route, dev: &str) -> bool {
        let link_local = "fe80::/64".parse();
        if route.kind != RouteKind::Unicast || route.gateway.is_some() {
            return false;
        }
        let subnet = self.interface(dev).is_none_or(|interface| {
            let mut subnets = interface.addresses.iter().map(ipnet::IpNet::trunc);
            subnets.any(|net| net == route.destination)
        });
        let to_gateway = match gateway(self.eni(dev), route.family()) {
            NextHop::Addr(addr) => route.destination == ipnet::IpNet::from(*addr),
            _ => false,
        };
        subnet || to_gateway || Ok(route.destination) == link_local
    }

    /// Only what was made by hand is somebody's intention; a script makes nothing else.
    fn in_main(&mut self, said: &Said<Route>) {
        let route = &said.what;
        if route.protocol != BOOT {
            return;
        }
        let chosen = match route.family() {
            Family::Inet => route.metric != 0,
            // What the kernel writes where none is given, `IP6_RT_PRIO_USER`.
            Family::Inet6 => !matches!(route.metric, 0 | 1024),
        };
        match (&route.dev, route.gateway) {
            (Some(dev), Some(via)) if route.is_default() && chosen => {
                let (dev, metric) = (dev.clone(), route.metric);
                let eni = self.eni(&dev);
                let next_hop = gateway(eni, Family::of(via));
                let fits = !matches!(next_hop, NextHop::Addr(first) if *first != via);
                let same = eni.default_metric.is_none_or(|first| first == metric);
                if !fits || !same {
                    return self.note(said, &format!("{dev} has another gateway or metric already"));
                }
                eni.default_metric = Some(metric);
                *gateway(eni, Family::of(via)) = NextHop::Addr(via);
            }
            _ if said.line.is_none() => {}
            _ if route.is_default() => self.note(
                said,
                "a default route of the main table is made with an interface, a gateway and a metric only; this one \
                 is left to the operating system",
            ),
            _ => self.note(said, "other routes of the main table are left to the operating system"),
        }
    }

    fn note(&mut self, said: &Said<Route>, why: &str) {
        self.imported.notes.push(said.note(why));
    }
}
