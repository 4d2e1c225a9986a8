//! Keeps the kernel's neighbour entries honest.
//!
//! What XDP sends passes the kernel's neighbour code by: nothing there notices that an entry is used,
//! so it stays `STALE`, unverified, for as long as it is there, and a next hop that moved without saying
//! so would be missed for ever. Telling the kernel that an entry is in use makes it probe.

use std::net::Ipv4Addr;

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
};

use super::{NetlinkError, dump::dump, request::tell};

/// Has the kernel verify the stale IPv4 neighbours of these interfaces; returns how many there were.
///
/// # Errors
///
/// [`NetlinkError`] when the list cannot be had or a request cannot be sent.
pub fn verify_stale(interfaces: &[u32]) -> Result<usize, NetlinkError> {
    let is_stale = |neighbour: &NeighbourMessage| {
        neighbour.header.state == NeighbourState::Stale
            && interfaces.contains(&neighbour.header.ifindex)
    };
    let stale: Vec<_> = neighbours()?
        .into_iter()
        .filter(is_stale)
        .filter_map(in_use)
        .collect();
    for neighbour in &stale {
        tell(&RouteNetlinkMessage::NewNeighbour(neighbour.clone()))?;
    }
    Ok(stale.len())
}

/// IPv4 neighbours of these interfaces that the kernel has looked for and not found, by interface.
///
/// # Errors
///
/// [`NetlinkError`] when the list cannot be had.
pub fn failed(interfaces: &[u32]) -> Result<Vec<(u32, Ipv4Addr)>, NetlinkError> {
    let failed = |neighbour: &NeighbourMessage| {
        neighbour.header.state == NeighbourState::Failed
            && interfaces.contains(&neighbour.header.ifindex)
    };
    let neighbours = neighbours()?.into_iter().filter(failed);
    Ok(neighbours
        .filter_map(|neighbour| {
            let addr = neighbour
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    NeighbourAttribute::Destination(NeighbourAddress::Inet(addr)) => Some(*addr),
                    _ => None,
                });
            addr.map(|addr| (neighbour.header.ifindex, addr))
        })
        .collect())
}

fn neighbours() -> Result<Vec<NeighbourMessage>, NetlinkError> {
    let mut request = NeighbourMessage::default();
    request.header.family = AddressFamily::Inet;
    let answer = dump("neighbours", &RouteNetlinkMessage::GetNeighbour(request))?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewNeighbour(neighbour) => Some(neighbour),
            _ => None,
        })
        .collect())
}

/// `NTF_USE`: no change but that the kernel takes a packet as just sent there.
fn in_use(neighbour: NeighbourMessage) -> Option<NeighbourMessage> {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = neighbour.header.ifindex;
    message.header.flags = NeighbourFlags::Use;
    let destination = neighbour
        .attributes
        .into_iter()
        .find(|attribute| matches!(attribute, NeighbourAttribute::Destination(_)))?;
    message.attributes.push(destination);
    Some(message)
}
