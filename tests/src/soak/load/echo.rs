//! Sends datagrams back, fragmented ones too.

use std::{
    net::{Ipv4Addr, UdpSocket},
    thread::Scope,
    time::Duration,
};

use anyhow::Result;

use super::{Load, expect_external};
use crate::topology::Topology;

pub(super) const PORT: u16 = 5002;

pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    load: &'scope Load,
    topology: &'scope Topology,
) -> Result<()> {
    let netns = &topology.server.netns;
    let socket = netns.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    scope.spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while !load.is_closed() {
            let Ok((len, peer)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            if let Err(error) = expect_external(peer) {
                load.fail(error.context("a datagram at the server"));
            }
            // Who waits for the answer says if none came.
            socket.send_to(&buffer[..len], peer).ok();
        }
    });
    Ok(())
}
