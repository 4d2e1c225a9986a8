//! IPv4 and IPv6 in the kernel's messages.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;

use crate::eni::Family;

pub(super) const fn number(family: Family) -> AddressFamily {
    match family {
        Family::Inet => AddressFamily::Inet,
        Family::Inet6 => AddressFamily::Inet6,
    }
}

pub(super) const fn known(family: AddressFamily) -> Option<Family> {
    match family {
        AddressFamily::Inet => Some(Family::Inet),
        AddressFamily::Inet6 => Some(Family::Inet6),
        _ => None,
    }
}

/// `None` of length 0: it says nothing.
pub(super) fn prefix(addr: IpAddr, length: u8) -> Option<IpNet> {
    (length != 0)
        .then(|| IpNet::new(addr, length).ok())
        .flatten()
}
