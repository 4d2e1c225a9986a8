//! Asks a host with ENIs from outside, and sees by which of them it answers.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};

use crate::{
    capture::Counted,
    ping::ping,
    session::{LineServer, Session},
    topology::enis::{ETH0, ETH1, Enis},
    traffic::SSH,
};

/// An interface, and a source address of what leaves by it.
pub type Way = (&'static str, IpAddr);

/// Starts the service that [`ask`] talks to, on all addresses of `vm`.
pub fn serve(enis: &Enis) -> Result<LineServer> {
    LineServer::start_dual(&enis.vm, SSH)
}

/// `srv` pings the address three times and has a conversation with it over TCP; by which of [`ETH0`] and [`ETH1`]
/// what left? An error if an answer does not come.
pub fn ask(enis: &Enis, address: impl Into<IpAddr>) -> Result<Counted> {
    let address = address.into();
    let leaving = enis.leaving(&[ETH0, ETH1])?;
    ping(&enis.srv, address, 7, 3)?;
    Session::open(&enis.srv, SocketAddr::new(address, SSH))?.finish()?;
    leaving.count()
}

/// Fails unless all of what was counted went that way, and there was something. Returns how many packets.
pub fn only(counted: &Counted, way: Way) -> Result<u64> {
    ensure!(
        counted.keys().eq([&way]),
        "not only {} by {}: {counted:?}",
        way.1,
        way.0
    );
    Ok(counted[&way])
}
