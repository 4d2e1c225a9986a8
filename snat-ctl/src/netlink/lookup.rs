//! The kernel's own route lookup: which route a packet would take.

use std::{io, net::IpAddr};

use netlink_packet_route::{
    RouteNetlinkMessage,
    route::{RouteAttribute, RouteFlags, RouteMessage},
};

use super::{NetlinkError, addresses::all_addresses, family, request::ask, routes};
use crate::eni::{Family, RouteKind};

/// A packet to be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Source address. Of IPv4 packets of the host itself, one of its own.
    pub source: Option<IpAddr>,
    /// Destination address.
    pub destination: IpAddr,
    /// Index of the interface that it came in by; `None` for what the host sends itself. IPv4: an address of the
    /// host as source, and anything but `local` while the interface does not forward, is refused.
    pub iif: Option<u32>,
    /// Index of the interface that the sending socket is bound to.
    pub oif: Option<u32>,
    /// Mark; 0 for none.
    pub mark: u32,
    /// Protocol number.
    pub ip_protocol: Option<u8>,
    /// Source port of TCP, UDP...
    pub source_port: Option<u16>,
    /// Destination port.
    pub destination_port: Option<u16>,
}

/// What the kernel would do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Sends it on, or takes it in.
    Route {
        /// Table that the route is in. IPv4: 0 where no table has one and the kernel takes the destination to be on
        /// the link of `oif`; 254 for the host's own addresses while it has no rules but the usual three.
        table: u32,
        /// Index of the interface that it leaves by.
        dev: Option<u32>,
        /// Next hop.
        gateway: Option<IpAddr>,
        /// Source address that a packet without one gets.
        source: Option<IpAddr>,
        /// `unicast`, or what becomes of it here (`local`, `broadcast`...).
        kind: RouteKind,
    },
    /// A route, or of the last two kinds a rule, that leads nowhere. Also, of IPv4 with `iif`: as `unreachable` a
    /// packet that the interface does not forward, and as `blackhole` one with an impossible source.
    Refused(RouteKind),
    /// No route, or a rule that says `unreachable`: the kernel answers the same.
    NoRoute,
}

impl Lookup {
    /// A packet of the host itself, from no address yet.
    #[must_use]
    pub const fn to(destination: IpAddr) -> Self {
        Self {
            source: None,
            destination,
            iif: None,
            oif: None,
            mark: 0,
            ip_protocol: None,
            source_port: None,
            destination_port: None,
        }
    }
}

/// Asks the kernel what it would do with a packet.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel does not answer the question.
pub fn lookup(packet: &Lookup) -> Result<Found, NetlinkError> {
    let request = RouteNetlinkMessage::GetRoute(to_message(packet));
    match ask(request, "a route lookup")? {
        Ok(RouteNetlinkMessage::NewRoute(route)) => Ok(found(&route)),
        Ok(other) => Err(NetlinkError::Malformed {
            what: "a route lookup",
            reason: format!("no route, but {other:?}"),
        }),
        Err(refusal) => refused(packet, refusal),
    }
}

fn to_message(packet: &Lookup) -> RouteMessage {
    let family = Family::of(packet.destination);
    let length = family.everything().max_prefix_len();
    let mut message = RouteMessage::default();
    message.header.address_family = family::number(family);
    message.header.flags = RouteFlags::LookupTable;
    message.header.destination_prefix_length = length;
    message.header.source_prefix_length = packet.source.map_or(0, |_| length);
    message.attributes = [
        Some(RouteAttribute::Destination(packet.destination.into())),
        packet
            .source
            .map(|source| RouteAttribute::Source(source.into())),
        packet.iif.map(RouteAttribute::Iif),
        packet.oif.map(RouteAttribute::Oif),
        (packet.mark != 0).then_some(RouteAttribute::Mark(packet.mark)),
        packet.ip_protocol.map(RouteAttribute::IpProto),
        packet.source_port.map(RouteAttribute::Sport),
        packet.destination_port.map(RouteAttribute::Dport),
    ]
    .into_iter()
    .flatten()
    .collect();
    message
}

fn found(message: &RouteMessage) -> Found {
    let kind = routes::kind(message.header.kind);
    if matches!(
        kind,
        RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Blackhole
    ) {
        return Found::Refused(kind);
    }
    let (mut table, mut dev, mut gateway, mut source) =
        (message.header.table.into(), None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Oif(index) => dev = Some(*index),
            RouteAttribute::Gateway(addr) => gateway = routes::addr(addr),
            RouteAttribute::PrefSource(addr) => source = routes::addr(addr),
            _ => {}
        }
    }
    Found::Route {
        table,
        dev,
        gateway,
        source,
        kind,
    }
}

/// The errno of each kind: `fib_props`, `fib6_rule_action`, `ip6_rt_type_to_error`.
fn refused(packet: &Lookup, refusal: io::Error) -> Result<Found, NetlinkError> {
    let errno = refusal.raw_os_error();
    if let Some(source) = foreign_source(packet)? {
        return Err(NetlinkError::NotOurs {
            source_address: source,
        });
    }
    match errno {
        Some(libc::ENETUNREACH) => Ok(Found::NoRoute),
        Some(libc::EHOSTUNREACH) => Ok(Found::Refused(RouteKind::Unreachable)),
        Some(libc::EACCES) => Ok(Found::Refused(RouteKind::Prohibit)),
        Some(libc::EINVAL) => Ok(Found::Refused(RouteKind::Blackhole)),
        _ => Err(NetlinkError::Refused {
            what: "a route lookup",
            source: refusal,
        }),
    }
}

/// A source that is not the host's own, of what the host is to send itself: IPv4 has no answer then, but an errno
/// that also means something else (`ip_route_output_key_hash_rcu`).
fn foreign_source(packet: &Lookup) -> Result<Option<IpAddr>, NetlinkError> {
    let Some(source) = packet
        .source
        .filter(|source| source.is_ipv4() && packet.iif.is_none())
    else {
        return Ok(None);
    };
    let ours = all_addresses()?
        .iter()
        .any(|address| address.net.addr() == source);
    Ok((!ours && !source.is_unspecified()).then_some(source))
}
