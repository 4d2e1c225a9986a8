//! This host's interfaces and routes, as far as rules leave open what they are for.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{
    ledger::{Kind, Ledger},
    names::Names,
    owners::is_bridge,
    ranges::Ranges,
};
use crate::{
    eni::{Host, MAIN, RouteKind},
    netlink::NetlinkError,
};

/// What of it matters.
#[derive(Debug, Default)]
pub(super) struct Here {
    /// Ethernet interfaces.
    pub(super) interfaces: Vec<String>,
    /// Routes of the main table with their interfaces, the default route too.
    pub(super) routes: Vec<(Ipv4Net, String)>,
    /// Addresses that others reach, with their interfaces; the primary ones first.
    pub(super) addresses: Vec<(Ipv4Addr, String)>,
}

impl Here {
    /// Looks.
    ///
    /// # Errors
    ///
    /// [`NetlinkError`] when one of the kernel's lists cannot be had.
    pub(super) fn look() -> Result<Self, NetlinkError> {
        let host = Host::read()?;
        let links = host
            .links
            .iter()
            .filter(|link| link.ethernet && !is_bridge(&link.name));
        let routes = host
            .routes
            .iter()
            .filter(|route| route.table == MAIN && route.kind == RouteKind::Unicast);
        let mut addresses = Vec::new();
        for link in &host.links {
            addresses.extend(host.addresses_of(link.index).filter_map(|net| match net {
                IpNet::V4(net) => Some((net.addr(), link.name.clone())),
                IpNet::V6(_) => None,
            }));
        }
        Ok(Self {
            interfaces: links.map(|link| link.name.clone()).collect(),
            routes: routes
                .filter_map(|route| match route.destination {
                    IpNet::V4(net) => Some((net, route.dev.clone()?)),
                    IpNet::V6(_) => None,
                })
                .collect(),
            addresses,
        })
    }

    /// The first of the names that is no Ethernet interface here.
    pub(super) fn unknown<'a>(&self, names: &'a [String]) -> Option<&'a String> {
        names.iter().find(|name| !self.interfaces.contains(name))
    }

    /// Where packets of these sources come from: by the routes to them.
    pub(super) fn towards(&self, sources: &Ranges) -> Vec<String> {
        let specific = self.routes.iter().filter(|(net, _)| net.prefix_len() > 0);
        let mut left = sources.clone();
        let mut found = Vec::new();
        for (net, dev) in specific {
            let net = Ranges::from(*net);
            left = left.without(&net);
            if net.meets(sources) && self.interfaces.contains(dev) {
                found.push(dev.clone());
            }
        }
        if !left.is_empty() {
            found.extend(self.outside().cloned());
        }
        found
    }

    /// Those of the names that the gateway can be on: `eth*` as what there is, and tunnels named.
    pub(super) fn ethernet(
        &self,
        names: &BTreeSet<String>,
        ledger: &mut Ledger,
    ) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for name in names {
            let one = Names::Only([name.clone()].into());
            let known: Vec<_> = self
                .interfaces
                .iter()
                .filter(|known| one.holds(known))
                .cloned()
                .collect();
            if known.is_empty() && name != "lo" {
                let why = "it is no Ethernet interface of this host: the gateway cannot be there";
                ledger.general(
                    Kind::LeftOut,
                    &format!("interface {name}"),
                    why,
                    "reach what is behind it by a [[bypass]]",
                );
            }
            found.extend(known);
        }
        found
    }

    /// Networks that other Ethernet interfaces than these lead to, but for those of containers.
    pub(super) fn behind(&self, output: &Names) -> Ranges {
        self.networks(|dev| !output.holds(dev) && self.interfaces.iter().any(|known| known == dev))
    }

    /// Sources behind interfaces that the gateway cannot be on, each with its interface.
    fn tunnelled(&self, sources: &Ranges) -> impl Iterator<Item = &(Ipv4Net, String)> {
        self.routes.iter().filter(|(net, dev)| {
            let other = !self.interfaces.contains(dev) && !is_bridge(dev);
            other && net.prefix_len() > 0 && Ranges::from(*net).meets(sources)
        })
    }

    /// Says of each of these sources that the gateway cannot be where they are.
    pub(super) fn tell_tunnelled(&self, sources: &Ranges, ledger: &mut Ledger) {
        for (net, dev) in self.tunnelled(sources) {
            let why = format!("clients in {net} come in by {dev}, which is no Ethernet interface");
            let fix = "take them out of the [[snat]], and let the kernel's rules translate them";
            ledger.general(Kind::LeftOut, "gateway.interfaces", why, fix);
        }
    }

    /// Interfaces with a default route.
    pub(super) fn outside(&self) -> impl Iterator<Item = &String> {
        let defaults = self.routes.iter().filter(|(net, _)| net.prefix_len() == 0);
        defaults.map(|(_, dev)| dev)
    }

    /// Destinations that are routed by other interfaces than these. Link-local ones are never forwarded.
    pub(super) fn elsewhere(&self, output: &Names) -> Ranges {
        let link_local = Ranges::from(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16));
        self.networks(|dev| !output.holds(dev)).without(&link_local)
    }

    /// All that is routed by these, by a default route, too.
    pub(super) fn routed(&self, names: &Names) -> Ranges {
        let default = if self.outside().any(|dev| names.holds(dev)) {
            Ranges::everywhere()
        } else {
            Ranges::none()
        };
        self.narrowed(default, |dev| names.holds(dev))
    }

    fn networks(&self, by: impl Fn(&str) -> bool) -> Ranges {
        self.narrowed(Ranges::none(), by)
    }

    /// Of two routes the one with the longer prefix counts.
    fn narrowed(&self, default: Ranges, by: impl Fn(&str) -> bool) -> Ranges {
        let specific = self.routes.iter().filter(|(net, _)| net.prefix_len() > 0);
        let mut specific: Vec<_> = specific.collect();
        specific.sort_by_key(|(net, _)| net.prefix_len());
        specific.into_iter().fold(default, |all, (net, dev)| {
            let net = Ranges::from(*net);
            if by(dev) {
                all.or(&net)
            } else {
                all.without(&net)
            }
        })
    }
}
