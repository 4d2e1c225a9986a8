//! The next hop of an interface: given, or guessed.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use super::{
    super::{Family, Host, MAIN},
    Interface,
};
use crate::config::NextHop;

/// A next hop and where it is known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its address.
    pub addr: IpAddr,
    /// Where from.
    pub found: Source,
    /// Outside of the interface's prefixes, reached by a route of its own.
    pub outside: bool,
}

/// Where a next hop is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration.
    Configured,
    /// The main table's default route by this interface.
    MainTable,
    /// That route, which is gone: a link that flaps takes it along.
    Before,
    /// A convention.
    FirstAddress,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "configured",
            Self::MainTable => "default route of the main table",
            Self::Before => "default route that the main table had before",
            Self::FirstAddress => "first address of the subnet",
        })
    }
}

/// That of a family: the configured one, or the best guess. `before`: what was found earlier.
///
/// # Errors
///
/// The configured one cannot be right: why, and what to do.
pub(super) fn find(
    interface: &Interface,
    family: Family,
    host: &Host,
    before: &[IpAddr],
) -> Result<Option<Gateway>, String> {
    let wanted = match family {
        Family::Inet => interface.eni.gateway,
        Family::Inet6 => interface.eni.gateway6,
    };
    match wanted {
        NextHop::None => Ok(None),
        NextHop::Addr(addr) => given(interface, addr, host),
        NextHop::Auto => Ok(guess(interface, family, host, before)),
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
        found: Source::Configured,
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

fn guess(interface: &Interface, family: Family, host: &Host, before: &[IpAddr]) -> Option<Gateway> {
    let by_this = host
        .foreign_defaults()
        .find(|route| route.family() == family && route.dev.as_deref() == Some(&interface.name));
    if let Some(addr) = by_this.and_then(|route| route.gateway) {
        let inside = interface.addresses.iter().any(|net| net.contains(&addr));
        return Some(Gateway {
            addr,
            found: Source::MainTable,
            outside: !inside && !is_link_local(addr),
        });
    }
    let usable = |addr: &&IpAddr| {
        let inside = interface.addresses.iter().any(|net| net.contains(*addr));
        Family::of(**addr) == family && (inside || is_link_local(**addr))
    };
    if let Some(addr) = before.iter().find(usable) {
        return Some(Gateway {
            addr: *addr,
            found: Source::Before,
            outside: false,
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
        found: Source::FirstAddress,
        outside: false,
    })
}

fn is_link_local(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local())
}
