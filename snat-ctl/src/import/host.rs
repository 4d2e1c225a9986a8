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

    /// Networks that other interfaces than these lead to, but for those of containers.
    pub(super) fn behind(&self, output: &Names) -> Ranges {
        let bridged = self.routes.iter().filter(|(_, dev)| is_bridge(dev));
        let bridged = bridged.fold(Ranges::none(), |all, (net, _)| all.or(&Ranges::from(*net)));
        self.elsewhere(output).without(&bridged)
    }

    /// Sources behind interfaces that the gateway cannot be on, each with its interface.
    pub(super) fn tunnelled(&self, sources: &Ranges) -> impl Iterator<Item = &(Ipv4Net, String)> {
        self.routes.iter().filter(|(net, dev)| {
            let other = !self.interfaces.contains(dev) && !is_bridge(dev);
            other && net.prefix_len() > 0 && Ranges::from(*net).meets(sources)
        })
    }

    /// Interfaces with a default route.
    pub(super) fn outside(&self) -> impl Iterator<Item = &String> {
        let defaults = self.routes.iter().filter(|(net, _)| net.prefix_len() == 0);
        defaults.map(|(_, dev)| dev)
    }

    /// Destinations that are routed by other interfaces than these. Link-local ones are never forwarded.
    pub(super) fn elsewhere(&self, output: &Names) -> Ranges {
        let link_local = Ranges::from(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16));
        let routes = self
            .routes
            .iter()
            .filter(|(net, dev)| net.prefix_len() > 0 && !output.holds(dev));
        let all = routes.fold(Ranges::none(), |all, (net, _)| all.or(&Ranges::from(*net)));
        all.without(&link_local)
    }
}
