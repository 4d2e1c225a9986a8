//! The server of the transfers.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread::Scope,
    time::Duration,
};

use anyhow::{Context as _, Result};
use socket2::SockRef;

use super::{Load, expect_external, order::Order, patient::Patient};
use crate::topology::Topology;

pub(super) const PORT: u16 = 5001;

/// Serves until the load is stopped, each connection in a thread of its own.
pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    load: &'scope Load,
    topology: &'scope Topology,
) -> Result<()> {
    let netns = &topology.server.netns;
    let listener = netns.enter(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?))?;
    // `accept` heeds it (socket(7)).
    SockRef::from(&listener).set_read_timeout(Some(Duration::from_millis(100)))?;
    scope.spawn(move || {
        while !load.is_closed() {
            if let Ok((stream, _)) = listener.accept() {
                scope.spawn(move || serve(load, stream));
            }
        }
    });
    Ok(())
}

fn serve(load: &Load, stream: TcpStream) {
    let serve = || {
        let peer = stream.peer_addr()?;
        expect_external(peer)?;
        let mut stream = Patient::new(stream)?;
        Order::take(load, &mut stream).with_context(|| format!("the TCP transfer of {peer}"))
    };
    if let Err(error) = serve() {
        load.fail(error.context("at the server"));
    }
}
