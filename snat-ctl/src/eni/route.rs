//! A route of the kernel's tables.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Family, rule::Short};

/// What `ip route` shows in a line. Two that are equal are the same route to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// Table.
    pub table: u32,
    /// Destination, which also says whether it is IPv4 or IPv6.
    pub destination: IpNet,
    /// `RTA_PRIORITY`: of routes to the same prefix the lowest counts. (IPv6: never 0, the kernel makes it 1024.)
    pub metric: u32,
    /// `unicast`, `unreachable`...
    pub kind: RouteKind,
    /// Next hop; `None` where the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Name of the interface it leaves by; `None` for kinds that lead nowhere.
    pub dev: Option<String>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// `onlink`: the gateway is taken to be on the link though no prefix of the interface says so.
    pub onlink: bool,
    /// `RTA_PROTOCOL`: who made it.
    pub protocol: u8,
    /// `RT_SCOPE_*` of an IPv4 route: 253 where the destination is on the link, 0 behind a gateway; 0 for IPv6.
    pub scope: u8,
    /// What there is of it that we don't speak (several next hops, a next hop object, metrics): such a route is
    /// somebody else's, shown by these words.
    pub unknown: Vec<String>,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// Leads somewhere.
    Unicast,
    /// ICMP host unreachable.
    Unreachable,
    /// ICMP administratively prohibited.
    Prohibit,
    /// Silence.
    Blackhole,
    /// Another one (`local`, `broadcast`...), by its number in `rtnetlink.h`.
    Other(u8),
}

impl Route {
    /// IPv4 or IPv6.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.destination {
            IpNet::V4(_) => Family::Inet,
            IpNet::V6(_) => Family::Inet6,
        }
    }

    /// As a command for `ip`; `verb` is `add` or `del`.
    #[must_use]
    pub fn command(&self, verb: &str) -> String {
        let (family, protocol) = (self.family().option(), self.protocol);
        format!("ip {family} route {verb} {self} protocol {protocol}")
    }

    /// Whether it leads everywhere.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.destination.prefix_len() == 0
    }
}

/// The words behind `ip [-6] route add`, without the protocol.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            destination,
            metric,
            kind,
            gateway,
            dev,
            source,
            onlink,
            protocol: _,
            scope,
            unknown,
        } = self;
        match kind {
            RouteKind::Unicast => {}
            RouteKind::Unreachable => f.write_str("unreachable ")?,
            RouteKind::Prohibit => f.write_str("prohibit ")?,
            RouteKind::Blackhole => f.write_str("blackhole ")?,
            RouteKind::Other(number) => write!(f, "type-{number} ")?,
        }
        if destination.prefix_len() == 0 {
            f.write_str("default")?;
        } else {
            Short(destination).fmt(f)?;
        }
        if let Some(gateway) = gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(dev) = dev {
            write!(f, " dev {dev}")?;
        }
        if *scope == 253 {
            f.write_str(" scope link")?;
        }
        if let Some(source) = source {
            write!(f, " src {source}")?;
        }
        if *onlink {
            f.write_str(" onlink")?;
        }
        for word in unknown {
            write!(f, " {word}")?;
        }
        if *metric != 0 {
            write!(f, " metric {metric}")?;
        }
        write!(f, " table {table}")
    }
}
