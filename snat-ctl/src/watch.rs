//! Tells the daemon that links, addresses, routes or neighbours have changed.

use std::{collections::HashMap, net::Ipv4Addr, thread, time::Duration};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use tokio::sync::mpsc::{Receiver, channel};

/// Changes come in crowds: one look serves those that come within this time.
const SETTLE: Duration = Duration::from_millis(100);

/// RTMGRP_LINK, _NEIGH, _IPV4_IFADDR, _IPV4_ROUTE and _IPV4_RULE of `rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x4 | 0x10 | 0x40 | 0x80;

/// A message for every crowd of changes, from a thread that lives as long as somebody listens.
///
/// Where the kernel's notifications can't be had, nothing ever comes: the datapath's own expiry of
/// cached routes still follows, only later.
#[must_use]
pub fn changes() -> Receiver<()> {
    let (sender, receiver) = channel(1);
    thread::spawn(move || {
        let socket = match open() {
            Ok(socket) => socket,
            Err(error) => {
                eprintln!("warning: cannot watch the host's network for changes: {error}");
                return;
            }
        };
        // What changed before anybody listened.
        let _ = sender.try_send(());
        let mut heard = Heard::default();
        loop {
            // An error is a queue that ran over: what was lost may have mattered.
            let matters = socket
                .recv_from_full()
                .map_or(true, |(datagram, _)| heard.matters(&datagram));
            if !matters {
                continue;
            }
            thread::sleep(SETTLE);
            let _ = socket.set_non_blocking(true);
            while let Ok((datagram, _)) = socket.recv_from_full() {
                heard.matters(&datagram);
            }
            let _ = socket.set_non_blocking(false);
            // Full means that one is waiting already.
            if sender.is_closed() {
                return;
            }
            let _ = sender.try_send(());
        }
    });
    receiver
}

fn open() -> std::io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, GROUPS))?;
    socket.set_rx_buf_sz(1 << 20)?;
    Ok(socket)
}

/// What has been heard of the host's network.
#[derive(Default)]
struct Heard {
    /// Link-layer addresses, by interface and neighbour.
    addresses: HashMap<(u32, Ipv4Addr), Vec<u8>>,
}

impl Heard {
    /// Whether a notification matters. A neighbour that is merely confirmed or doubted keeps its
    /// address, and that happens all the time: of those only another address, or none, does.
    fn matters(&mut self, datagram: &[u8]) -> bool {
        let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram) else {
            return true;
        };
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(neighbour)) => {
                self.is_news(neighbour)
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(mut neighbour)) => {
                neighbour.header.state = NeighbourState::Failed;
                self.is_news(neighbour)
            }
            _ => true,
        }
    }

    fn is_news(&mut self, neighbour: NeighbourMessage) -> bool {
        let ifindex = neighbour.header.ifindex;
        let gone = neighbour.header.state == NeighbourState::Failed;
        let (mut addr, mut mac) = (None, None);
        for attribute in neighbour.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(inet)) => addr = Some(inet),
                NeighbourAttribute::LinkLayerAddress(address) => mac = Some(address),
                _ => {}
            }
        }
        match (addr, mac) {
            (Some(addr), Some(mac)) if !gone => {
                self.addresses.insert((ifindex, addr), mac.clone()) != Some(mac)
            }
            (Some(addr), _) => self.addresses.remove(&(ifindex, addr)).is_some(),
            (None, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Heard, NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};

    fn neighbour(state: NeighbourState, mac: Option<u8>) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = 2;
        message.header.state = state;
        let addr = NeighbourAddress::Inet(Ipv4Addr::new(192, 0, 2, 1));
        message
            .attributes
            .push(NeighbourAttribute::Destination(addr));
        let mac = mac.map(|last| NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, last]));
        message.attributes.extend(mac);
        message
    }

    #[test]
    fn only_another_address_of_a_neighbour_or_none_is_news() {
        use NeighbourState::{Delay, Failed, Incomplete, Probe, Reachable, Stale};
        let mut heard = Heard::default();
        for (state, mac, news) in [
            (Incomplete, None, false),
            (Reachable, Some(1), true),
            (Stale, Some(1), false),
            (Delay, Some(1), false),
            (Reachable, Some(1), false),
            // What a gratuitous ARP makes of it.
            (Stale, Some(2), true),
            (Probe, Some(2), false),
            (Failed, Some(2), true),
            (Failed, None, false),
            (Reachable, Some(2), true),
        ] {
            assert_eq!(
                heard.is_news(neighbour(state, mac)),
                news,
                "{state:?} {mac:?}"
            );
        }
    }
}
