//! A question to the kernel that one rule should answer.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use crate::{
    eni::{Family, Host, MAIN, PROTOCOL, Rule, control::Prepared},
    netlink::Lookup,
};

/// `ip route get`, in numbers.
#[derive(Clone, Debug)]
pub struct Question {
    /// What the kernel is asked.
    pub lookup: Lookup,
    /// Name of the interface that the packet comes in by.
    pub iif: Option<String>,
    /// Name of the interface that the socket is bound to.
    pub oif: Option<String>,
}

impl Question {
    /// One that matches the rule.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn about(rule: &Rule, prepared: &Prepared) -> Result<Self, &'static str> {
        let host = &prepared.host;
        let destination = destination(rule, host).ok_or("no destination is left to ask about")?;
        let incoming = rule.iif.as_deref().filter(|iif| *iif != "lo");
        let source = match (incoming, rule.source) {
            (Some(incoming), source) => sender(incoming, source, rule.family, host)?,
            (None, Some(prefix)) => {
                let own = host.addresses.iter().map(|address| address.net.addr());
                let own = own.filter(|addr| prefix.contains(addr)).min();
                Some(own.ok_or("none of its sources is an address of this host")?)
            }
            (None, None) => None,
        };
        let index = |name: &String| {
            let link = host.links.iter().find(|link| link.name == *name);
            link.map(|link| link.index)
        };
        let iif = match incoming {
            Some(name) => Some(index(&name.to_owned()).ok_or("its interface is not there")?),
            None => None,
        };
        let oif = match &rule.oif {
            Some(name) => Some(index(name).ok_or("its interface is not there")?),
            None => None,
        };
        Ok(Self {
            lookup: Lookup {
                source,
                destination,
                iif,
                oif,
                mark: rule.mark.map_or(0, |(mark, _)| mark),
                ip_protocol: rule.ip_protocol,
                source_port: rule.source_ports.map(|(first, _)| first),
                destination_port: rule.destination_ports.map(|(first, _)| first),
            },
            iif: incoming.map(str::to_owned),
            oif: rule.oif.clone(),
        })
    }

    /// IPv4 or IPv6.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.lookup.destination)
    }
}

/// Somebody else whose packets come in by an interface. Of IPv4 the kernel looks at more than the rules: whether the
/// interface forwards, and whether the source can be behind it (`ip_route_input_slow`).
fn sender(
    incoming: &str,
    source: Option<IpNet>,
    family: Family,
    host: &Host,
) -> Result<Option<IpAddr>, &'static str> {
    if family == Family::Inet && !forwards(incoming) {
        return Err("its interface forwards nothing");
    }
    if source.is_none() && family == Family::Inet6 {
        return Ok(None);
    }
    let link = host.links.iter().find(|link| link.name == incoming);
    let link = link.ok_or("its interface is not there")?;
    let neighbours = host.addresses_of(link.index).map(|net| net.trunc());
    let mut prefixes: Vec<_> = source.into_iter().collect();
    if prefixes.is_empty() {
        prefixes.extend(neighbours.filter(|net| Family::of(net.addr()) == family));
    }
    let others = prefixes
        .iter()
        .find_map(|net| net.hosts().find(|addr| !host.has_address(*addr)));
    others
        .map(Some)
        .ok_or("nobody is known whose packets come in by its interface")
}

fn forwards(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv4/conf/{interface}/forwarding");
    // What cannot be read is left to the kernel's answer.
    fs::read_to_string(path).map_or(true, |value| value.trim() != "0")
}

/// Somebody in the rule's destination; if that is everywhere, somebody that only a default route leads to.
fn destination(rule: &Rule, host: &Host) -> Option<IpAddr> {
    if let Some(prefix) = rule.destination {
        let addr = inside(prefix);
        return (!host.has_address(addr)).then_some(addr).or_else(|| {
            let mut next = prefix.hosts();
            next.find(|addr| !host.has_address(*addr))
        });
    }
    far_away(rule.family).into_iter().find(|addr| {
        !host.routes.iter().any(|route| {
            (route.table == MAIN || route.protocol == PROTOCOL)
                && !route.is_default()
                && route.destination.contains(addr)
        })
    })
}

/// Addresses for documentation and for tests (RFC 5737, RFC 2544, RFC 3849, RFC 9637): nobody has them.
fn far_away(family: Family) -> [IpAddr; 4] {
    match family {
        Family::Inet => [
            Ipv4Addr::new(192, 0, 2, 1).into(),
            Ipv4Addr::new(198, 51, 100, 1).into(),
            Ipv4Addr::new(203, 0, 113, 1).into(),
            Ipv4Addr::new(198, 18, 0, 1).into(),
        ],
        Family::Inet6 => [
            Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::new(0x3fff, 0xfff, 0, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0xffff, 0, 0, 0, 1).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0xffff, 0, 0, 0, 1).into(),
        ],
    }
}

/// The first address of a prefix that a host may have.
fn inside(prefix: IpNet) -> IpAddr {
    prefix.hosts().next().unwrap_or_else(|| prefix.addr())
}

/// The words behind `ip route get`.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lookup {
            source,
            destination,
            iif: _,
            oif: _,
            mark,
            ip_protocol,
            source_port,
            destination_port,
        } = &self.lookup;
        write!(f, "{destination}")?;
        if let Some(source) = source {
            write!(f, " from {source}")?;
        }
        if let Some(iif) = &self.iif {
            write!(f, " iif {iif}")?;
        }
        if let Some(oif) = &self.oif {
            write!(f, " oif {oif}")?;
        }
        if *mark != 0 {
            write!(f, " mark {mark:#x}")?;
        }
        if let Some(protocol) = ip_protocol {
            write!(f, " ipproto {protocol}")?;
        }
        if let Some(port) = source_port {
            write!(f, " sport {port}")?;
        }
        if let Some(port) = destination_port {
            write!(f, " dport {port}")?;
        }
        Ok(())
    }
}
