//! What the kernel says about links, addresses and the default route: blocking dumps over rtnetlink.
//!
//! A dump shows the network namespace of the calling thread.

mod addresses;
pub mod conntrack;
mod dump;
mod error;
mod family;
mod filters;
mod lookup;
pub mod neighbours;
mod request;
mod routes;
mod rules;
mod socket;

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
    link::{
        InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp,
        XdpAttached,
    },
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType},
};

use self::dump::dump;
pub use self::{
    addresses::{InterfaceAddress, all_addresses},
    error::NetlinkError,
    filters::{BpfFilter, bpf_filters},
    lookup::{Found, Lookup, lookup},
    routes::{add_route, delete_route, routes},
    rules::{add_rule, delete_rule, rules},
};
pub(crate) use self::{routes::to_route, rules::to_rule};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Kernel's index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Link-layer address, if it has one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// Largest IP packet.
    pub mtu: u32,
    /// Set up by the administrator.
    pub up: bool,
    /// Has a carrier (or needs none).
    pub running: bool,
    /// Its frames are Ethernet (`ARPHRD_ETHER`).
    pub ethernet: bool,
    /// Kind of a virtual device (`veth`, `bridge`, ...); none for hardware.
    pub kind: Option<String>,
    /// XDP programs attached to it.
    pub xdp: Vec<XdpProgram>,
}

/// An XDP program on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    /// Kernel's program id.
    pub id: u32,
    /// Where it runs.
    pub mode: XdpMode,
}

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the stack, on socket buffers.
    Generic,
    /// In the NIC.
    Hardware,
}

/// An IPv4 address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the interface.
    pub link: u32,
    /// The interface's own address.
    pub addr: Ipv4Addr,
    /// Length of its prefix.
    pub prefix_len: u8,
    /// A further address of a prefix that already has one: not what the kernel picks as a source.
    pub secondary: bool,
}

/// All interfaces.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel's list cannot be had.
pub fn links() -> Result<Vec<Link>, NetlinkError> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answer = dump("interfaces", &request)?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(to_link(link)),
            _ => None,
        })
        .collect())
}

/// All IPv4 addresses, in the kernel's order: an interface's first non-secondary one is its primary.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel's list cannot be had.
pub fn addresses() -> Result<Vec<Address>, NetlinkError> {
    let mut request = AddressMessage::default();
    request.header.family = AddressFamily::Inet;
    let answer = dump("addresses", &RouteNetlinkMessage::GetAddress(request))?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewAddress(address) => to_address(&address),
            _ => None,
        })
        .collect())
}

/// An interface's primary IPv4 address: what `external = ["auto"]` stands for.
#[must_use]
pub fn primary_address(addresses: &[Address], link: u32) -> Option<Ipv4Addr> {
    let own = || addresses.iter().filter(|address| address.link == link);
    own()
        .find(|address| !address.secondary)
        .or_else(|| own().next())
        .map(|address| address.addr)
}

/// Index of the interface that the main table's best IPv4 default route leaves by.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel's list cannot be had.
pub fn default_route_link() -> Result<Option<u32>, NetlinkError> {
    let mut request = RouteMessage::default();
    request.header.address_family = AddressFamily::Inet;
    let answer = dump("routes", &RouteNetlinkMessage::GetRoute(request))?;
    Ok(answer
        .iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewRoute(route) => to_default_route(route),
            _ => None,
        })
        .min()
        .map(|(_metric, link)| link))
}

fn to_link(message: LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Running),
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        kind: None,
        xdp: Vec::new(),
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(address) => link.mac = address.try_into().ok(),
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(InfoKind::Other(kind)) => Some(kind.clone()),
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            LinkAttribute::Xdp(xdp) => link.xdp = to_xdp(&xdp),
            _ => {}
        }
    }
    link
}

/// `IFLA_XDP_PROG_ID` goes with the one mode in `IFLA_XDP_ATTACHED`; with several programs each mode
/// has an attribute of its own. The latter are there in both cases (`rtnl_xdp_fill`).
fn to_xdp(attributes: &[LinkXdp]) -> Vec<XdpProgram> {
    let by_mode = attributes.iter().filter_map(|attribute| match *attribute {
        LinkXdp::DrvProgId(id) => Some(XdpProgram {
            id,
            mode: XdpMode::Native,
        }),
        LinkXdp::SkbProgId(id) => Some(XdpProgram {
            id,
            mode: XdpMode::Generic,
        }),
        LinkXdp::HwProgId(id) => Some(XdpProgram {
            id,
            mode: XdpMode::Hardware,
        }),
        _ => None,
    });
    let programs: Vec<_> = by_mode.collect();
    if !programs.is_empty() {
        return programs;
    }
    let mode = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(XdpAttached::Driver) => Some(XdpMode::Native),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(XdpMode::Generic),
        LinkXdp::Attached(XdpAttached::Hardware) => Some(XdpMode::Hardware),
        _ => None,
    });
    let id = attributes.iter().find_map(|attribute| match *attribute {
        LinkXdp::ProgId(id) => Some(id),
        _ => None,
    });
    mode.zip(id)
        .map(|(mode, id)| XdpProgram { id, mode })
        .into_iter()
        .collect()
}

fn to_address(message: &AddressMessage) -> Option<Address> {
    // On a point-to-point link IFA_ADDRESS is the peer's; IFA_LOCAL is always our own.
    let addr = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(addr)) => Some(*addr),
            _ => None,
        })?;
    Some(Address {
        link: message.header.index,
        addr,
        prefix_len: message.header.prefix_len,
        secondary: message.header.flags.contains(AddressHeaderFlags::Secondary),
    })
}

/// Metric and interface of a default route of the main table.
fn to_default_route(message: &RouteMessage) -> Option<(u32, u32)> {
    let header = &message.header;
    if header.destination_prefix_length != 0
        || header.kind != RouteType::Unicast
        || header.table != RouteHeader::RT_TABLE_MAIN
    {
        return None;
    }
    let mut metric = 0;
    let mut link = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::MultiPath(hops) => {
                link = link.or_else(|| hops.first().map(|hop| hop.interface_index));
            }
            RouteAttribute::Destination(RouteAddress::Inet(addr)) if !addr.is_unspecified() => {
                return None;
            }
            _ => {}
        }
    }
    link.map(|link| (metric, link))
}
