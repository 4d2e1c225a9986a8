//! What changes of the host's network is followed within a second, under traffic, and nothing else suffers from it.

mod addresses;
mod away;
mod links;

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{netns::Netns, wait};

/// From the change on. What the test itself needs to see it comes on top.
const SOON: Duration = Duration::from_secs(1);
/// Then it is given up.
const PATIENCE: Duration = Duration::from_secs(15);

/// Tries until it succeeds; fails if that was not within a second.
fn soon<T>(what: &str, attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let changed = Instant::now();
    let value = wait::every(Duration::from_millis(5), PATIENCE, what, attempt)?;
    let took = changed.elapsed();
    eprintln!("{what}: after {took:.0?}");
    ensure!(
        took < SOON + Duration::from_millis(500),
        "{what}: after {took:?}"
    );
    Ok(value)
}

/// One datagram there and back at once, or an error: who the server said we are.
fn asked(netns: &Netns, server: SocketAddrV4, port: u16) -> Result<SocketAddr> {
    netns.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket.send_to(b"?", server)?;
        let mut answer = [0; 64];
        let len = socket.recv(&mut answer).context("no answer")?;
        let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
        let (peer, _) = answer.split_once(' ').context("no address in the answer")?;
        Ok(peer.parse()?)
    })
}
