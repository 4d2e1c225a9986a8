//! All addresses of the interfaces, IPv4 and IPv6.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage},
};

use super::{NetlinkError, dump::dump_family, family};
use crate::eni::Family;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Index of the interface.
    pub link: u32,
    /// The interface's own address and the length of its prefix (of the peer's, where there is one).
    pub net: IpNet,
    /// `RT_SCOPE_*`: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// IPv4: a further address of a prefix that already has one.
    pub secondary: bool,
    /// IPv6: not known yet to be nobody else's; not for use.
    pub tentative: bool,
    /// IPv6: not a source of new connections.
    pub deprecated: bool,
    /// IPv6: a privacy address (RFC 8981).
    pub temporary: bool,
    /// Address at the other end of a point-to-point link.
    pub peer: Option<IpAddr>,
}

/// All addresses in the kernel's order, IPv4 then IPv6.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel's list cannot be had.
pub fn all_addresses() -> Result<Vec<InterfaceAddress>, NetlinkError> {
    let mut all = Vec::new();
    for family in Family::ALL {
        let mut request = AddressMessage::default();
        request.header.family = family::number(family);
        let answer = dump_family("addresses", &RouteNetlinkMessage::GetAddress(request))?;
        all.extend(answer.into_iter().filter_map(|message| match message {
            // Asked for a family that it lacks, the kernel lists every other (`rtnl_dump_all`).
            RouteNetlinkMessage::NewAddress(address)
                if family::known(address.header.family) == Some(family) =>
            {
                from_message(&address)
            }
            _ => None,
        }));
    }
    Ok(all)
}

fn from_message(message: &AddressMessage) -> Option<InterfaceAddress> {
    let (mut local, mut address) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(addr) => local = Some(*addr),
            AddressAttribute::Address(addr) => address = Some(*addr),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    // IPv6 gives IFA_LOCAL only where there is a peer; with one, IFA_ADDRESS is the peer's.
    let own = local.or(address)?;
    let v6 = own.is_ipv6();
    // One bit, two names: IFA_F_SECONDARY is IFA_F_TEMPORARY.
    let second = flags.contains(AddressFlags::Secondary);
    Some(InterfaceAddress {
        link: message.header.index,
        net: IpNet::new(own, message.header.prefix_len).ok()?,
        scope: message.header.scope.into(),
        secondary: second && !v6,
        tentative: flags.contains(AddressFlags::Tentative),
        deprecated: flags.contains(AddressFlags::Deprecated),
        temporary: second && v6,
        peer: address.filter(|address| *address != own),
    })
}
