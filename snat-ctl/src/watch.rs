//! Tells the daemon that links, addresses, routes or neighbours have changed.

use std::{thread, time::Duration};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    neighbour::{NeighbourMessage, NeighbourState},
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
        loop {
            // An error is a queue that ran over: what was lost may have mattered.
            let matters = socket
                .recv_from_full()
                .map_or(true, |(datagram, _)| matters(&datagram));
            if !matters {
                continue;
            }
            thread::sleep(SETTLE);
            let _ = socket.set_non_blocking(true);
            while socket.recv_from_full().is_ok() {}
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

/// A neighbour that is merely confirmed or doubted keeps its address: of those only news matters.
fn matters(datagram: &[u8]) -> bool {
    let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram) else {
        return true;
    };
    match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(neighbour)) => {
            is_news(&neighbour)
        }
        _ => true,
    }
}

fn is_news(neighbour: &NeighbourMessage) -> bool {
    matches!(
        neighbour.header.state,
        NeighbourState::Reachable | NeighbourState::Failed | NeighbourState::Permanent
    )
}
