//! The host as the datapath must know it.

use anyhow::Context as _;
use snat_common::Interface;

use crate::{
    check::ports::auto_ports,
    config::{Config, Ports},
    datapath::Host,
    netlink::{self, Link},
};

/// The configured interfaces as they are now, in the configuration's order.
pub(crate) fn gateway_links(config: &Config) -> anyhow::Result<Vec<Link>> {
    let links = netlink::links()?;
    config
        .gateway
        .interfaces
        .iter()
        .map(|name| {
            links
                .iter()
                .find(|link| link.name == *name)
                .cloned()
                .with_context(|| format!("interface {name} does not exist"))
        })
        .collect()
}

/// The configured interfaces as a running gateway finds them, given what it `known` of each: one that was renamed by its
/// index, none for one that is away.
pub(super) fn present_links(
    config: &Config,
    known: &[Interface],
) -> anyhow::Result<Vec<Option<Link>>> {
    let links = netlink::links()?;
    let find = |name: &String, index| {
        let mut named = links.iter();
        let named = named.find(|link| link.name == *name);
        named.or_else(|| links.iter().find(|link| link.index == index))
    };
    let names = config.gateway.interfaces.iter().zip(known);
    Ok(names
        .map(|(name, known)| find(name, known.ifindex).cloned())
        .collect())
}

/// As [`host`]; an interface that is away keeps its address, for its flows wait for it.
pub(super) fn present_host(
    config: &Config,
    links: &[Option<Link>],
    known: &[Interface],
) -> anyhow::Result<Host> {
    let found: Vec<Link> = links.iter().flatten().cloned().collect();
    let mut host = host(config, &found)?;
    let mut present = host.interfaces.into_iter();
    host.interfaces = links
        .iter()
        .zip(known)
        .map(|(link, known)| {
            let away = Interface {
                ifindex: 0,
                ..*known
            };
            link.as_ref().and_then(|_| present.next()).unwrap_or(away)
        })
        .collect();
    Ok(host)
}

/// What the datapath must know of the host: addresses of the interfaces, and which ports the host leaves to it.
pub(crate) fn host(config: &Config, links: &[Link]) -> anyhow::Result<Host> {
    let addresses = netlink::addresses()?;
    let interfaces = links
        .iter()
        .map(|link| Interface {
            ifindex: link.index,
            addr: netlink::primary_address(&addresses, link.index)
                .map_or([0; 4], |addr| addr.octets()),
            mac: link.mac.unwrap_or_default(),
            mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
        })
        .collect();
    let wants_auto = config.snat.iter().any(|snat| snat.ports == Ports::Auto);
    let auto_ports = if wants_auto {
        auto_ports(config)?
    } else {
        Vec::new()
    };
    Ok(Host {
        interfaces,
        auto_ports,
    })
}
