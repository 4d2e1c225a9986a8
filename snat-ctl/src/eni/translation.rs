//! Tells the datapath of the same instance, if there is one: translated flows go by policy routes and weights too.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::{
    Family, Host, MAIN, RouteKind,
    resolve::{Found, Interface},
};
use crate::datapath::{EniHint, MapError, Pins, follow_enis};

/// Makes it follow these interfaces.
///
/// # Errors
///
/// [`MapError`] of the first map that refused.
pub(super) fn tell(instance: &str, found: &Found, host: &Host) -> Result<(), MapError> {
    let hints = found
        .interfaces
        .iter()
        .map(|interface| hint(interface, host));
    send(instance, &hints.collect::<Vec<_>>())
}

/// Makes it forget all of them.
///
/// # Errors
///
/// As [`tell`].
pub(super) fn forget(instance: &str) -> Result<(), MapError> {
    send(instance, &[])
}

fn send(instance: &str, hints: &[EniHint]) -> Result<(), MapError> {
    let pins = Pins::of(instance);
    if pins.exists() {
        follow_enis(&pins, hints)?;
    }
    Ok(())
}

fn hint(interface: &Interface, host: &Host) -> EniHint {
    let weight = interface.eni.weight.filter(|_| interface.leads_out());
    EniHint {
        ifindex: interface.index,
        weight: weight.map_or(0, |weight| weight.try_into().unwrap_or(u16::MAX)),
        default_route: main_default(interface, host),
        sources: interface
            .sources(Family::Inet)
            .filter_map(|net| match net {
                IpNet::V4(net) => Some(net),
                IpNet::V6(_) => None,
            })
            .collect(),
    }
}

fn main_default(interface: &Interface, host: &Host) -> Option<(Ipv4Addr, u32)> {
    let routes = host.routes.iter().filter(|route| {
        route.table == MAIN
            && route.is_default()
            && route.kind == RouteKind::Unicast
            && route.dev.as_deref() == Some(&interface.name)
    });
    routes
        .filter_map(|route| match route.gateway? {
            IpAddr::V4(gateway) => Some((gateway, route.metric)),
            IpAddr::V6(_) => None,
        })
        .min_by_key(|(_, metric)| *metric)
}
