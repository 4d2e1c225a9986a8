//! Next hops of the default routes: found, or not to be found.

use std::net::IpAddr;

use super::{Host, Problem};
use crate::{eni::MAIN, netlink};

/// Nothing where the kernel's lists can't be had: that they can't is told elsewhere.
pub(super) fn problems(host: &Host) -> Vec<Problem> {
    let managed: Vec<_> = host.managed().collect();
    let indices: Vec<_> = managed.iter().map(|link| link.index).collect();
    let failed = netlink::neighbours::failed(&indices).unwrap_or_default();
    let routes = netlink::routes(&host.links).unwrap_or_default();
    let defaults = routes
        .iter()
        .filter(|route| route.table == MAIN && route.is_default());
    let mut problems: Vec<Problem> = Vec::new();
    for route in defaults {
        let (Some(IpAddr::V4(gateway)), Some(dev)) = (route.gateway, &route.dev) else {
            continue;
        };
        let link = managed.iter().find(|link| link.name == *dev);
        if link.is_some_and(|link| failed.contains(&(link.index, gateway))) {
            problems.push(
                Problem::critical(
                    "neighbour.failed",
                    format!("{dev}: the next hop {gateway} of the default route answers no ARP: nothing reaches the Internet by it"),
                    format!("ip neigh show dev {dev}; is it the right next hop (ip route), does it live, is {dev} in the right subnet?"),
                )
                .about(dev),
            );
        }
    }
    problems
}
