//! Tells the datapath of the same instance, if there is one: translated flows go by policy routes and weights too.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{
    Action, Desired, Host, MAIN, Rule,
    resolve::{Found, Interface},
};
use crate::datapath::{EniHint, MapError, Pins, follow_enis};

/// Makes it follow these interfaces, and the rules that there are by then: also of interfaces that are away.
///
/// # Errors
///
/// [`MapError`] of the first map that refused.
pub(super) fn tell(
    instance: &str,
    found: &Found,
    desired: &Desired,
    host: &Host,
) -> Result<(), MapError> {
    let sources = desired.rules.iter().filter_map(|(rule, _)| by_source(rule));
    let hints = found
        .interfaces
        .iter()
        .map(|interface| hint(interface, desired, host));
    send(
        instance,
        &sources.collect::<Vec<_>>(),
        &hints.collect::<Vec<_>>(),
    )
}

/// Makes it forget all of them.
///
/// # Errors
///
/// As [`tell`].
pub(super) fn forget(instance: &str) -> Result<(), MapError> {
    send(instance, &[], &[])
}

fn send(instance: &str, sources: &[Ipv4Net], hints: &[EniHint]) -> Result<(), MapError> {
    let pins = Pins::of(instance);
    if pins.exists() {
        follow_enis(&pins, sources, hints)?;
    }
    Ok(())
}

fn hint(interface: &Interface, desired: &Desired, host: &Host) -> EniHint {
    let weight = interface.eni.weight.filter(|_| interface.leads_out());
    EniHint {
        ifindex: interface.index,
        weight: weight.map_or(0, |weight| weight.try_into().unwrap_or(u16::MAX)),
        default_route: main_default(interface, desired, host),
    }
}

/// What a rule gives a table of its own whatever the destination.
fn by_source(rule: &Rule) -> Option<Ipv4Net> {
    let is_plain = rule.destination.is_none() && !rule.inverted;
    match (rule.source, rule.action) {
        (Some(IpNet::V4(source)), Action::Lookup(table)) if is_plain && table != MAIN => {
            Some(source)
        }
        _ => None,
    }
}

fn main_default(interface: &Interface, desired: &Desired, host: &Host) -> Option<(Ipv4Addr, u32)> {
    let ours = desired.routes.iter().map(|(route, _)| route);
    let ours = ours.filter(|route| route.table == MAIN && route.is_default());
    host.foreign_defaults()
        .chain(ours)
        .filter(|route| route.dev.as_deref() == Some(&interface.name))
        .filter_map(|route| match route.gateway? {
            IpAddr::V4(gateway) => Some((gateway, route.metric)),
            IpAddr::V6(_) => None,
        })
        .min_by_key(|(_, metric)| *metric)
}
