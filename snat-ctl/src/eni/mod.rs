//! Policy routes of network interfaces (ENIs): what came in by one leaves by it, and nobody else's rules are touched.
//!
//! A configuration ([`crate::config::Routing`]) and what the host has become what the kernel should hold, that and
//! what it holds become a plan, and a plan is carried out.

pub mod allot;
mod apply;
pub mod balance;
pub mod confirm;
pub mod conflicts;
pub mod control;
mod desired;
mod host;
pub mod import;
mod interface;
pub mod keep;
mod linger;
mod names;
mod plan;
pub mod probe;
pub mod removal;
pub mod render;
pub mod resolve;
mod route;
mod rule;
pub mod store;
mod translation;
pub mod verify;

pub use self::{
    apply::ApplyError,
    desired::{Desired, LADDER, desired, slots},
    host::Host,
    interface::Interface,
    names::table_names,
    plan::{Change, Object, Plan, Verb},
    route::{Route, RouteKind},
    rule::{Action, Rule},
    store::{Applied, Pending, Store},
};

/// `RTPROT` of every rule and route of ours: what has another number is somebody else's.
pub const PROTOCOL: u8 = 201;
/// The kernel's main table, `RT_TABLE_MAIN`.
pub const MAIN: u32 = 254;
/// Metric of the route that ends a table of ours: nothing else can be worse.
pub const LAST_METRIC: u32 = u32::MAX;

/// `inet` or `inet6`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Family {
    /// Both, IPv4 first.
    pub const ALL: [Self; 2] = [Self::Inet, Self::Inet6];

    /// Of an address.
    #[must_use]
    pub const fn of(addr: std::net::IpAddr) -> Self {
        match addr {
            std::net::IpAddr::V4(_) => Self::Inet,
            std::net::IpAddr::V6(_) => Self::Inet6,
        }
    }

    /// `0.0.0.0/0` or `::/0`.
    #[must_use]
    pub const fn everything(self) -> ipnet::IpNet {
        match self {
            Self::Inet => ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert(
                std::net::Ipv4Addr::UNSPECIFIED,
                0,
            )),
            Self::Inet6 => ipnet::IpNet::V6(ipnet::Ipv6Net::new_assert(
                std::net::Ipv6Addr::UNSPECIFIED,
                0,
            )),
        }
    }

    /// The option that `ip` takes: `-4` or `-6`.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Inet => "-4",
            Self::Inet6 => "-6",
        }
    }
}
