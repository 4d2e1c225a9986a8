//! Sends made-up packets, many of them if need be, and keeps the stack out of it.

use std::net::SocketAddrV4;

use anyhow::{Context as _, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{netns::Netns, raw::Packet};

/// Sends packets from a namespace, by its routes.
pub struct Sender(Socket);

impl Sender {
    /// Opens it.
    pub fn open(netns: &Netns) -> Result<Self> {
        let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)));
        netns
            .enter(|| open().with_context(|| format!("raw socket in {}", netns.name())))
            .map(Self)
    }

    /// Sends a packet.
    pub fn send(&self, packet: &Packet) -> Result<()> {
        let bytes = packet.bytes()?;
        self.0
            .send_to(&bytes, &SocketAddrV4::new(packet.dst, 0).into())
            .with_context(|| format!("sending {packet:?}"))
            .map(drop)
    }

    /// Sends one after the other.
    pub fn send_all<'a>(&self, packets: impl IntoIterator<Item = &'a Packet>) -> Result<()> {
        packets.into_iter().try_for_each(|packet| self.send(packet))
    }
}

/// Lets the namespace's stack neither take nor answer what comes for these ports, UDP and TCP: a test speaks for
/// them, and hears with [`crate::capture::Tap`].
pub fn speak_for(netns: &Netns, first: u16, last: u16) -> Result<()> {
    netns.nft(&format!(
        "table ip deaf {{
             chain in {{ type filter hook prerouting priority raw;
                 meta l4proto {{ tcp, udp }} th dport {first}-{last} drop; }}
         }}"
    ))
}
