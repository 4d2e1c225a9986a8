//! What applications see: large datagrams arrive whole, both ways.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::netns::Netns;
use socket2::{Domain, Protocol, Socket, Type};

use crate::pieces::payload;

pub(crate) const SOON: Duration = Duration::from_secs(3);

/// A UDP socket that gives up soon.
pub(crate) fn bind(netns: &Netns, addr: SocketAddrV4) -> Result<UdpSocket> {
    let socket =
        netns.enter(|| UdpSocket::bind(addr).with_context(|| format!("binding {addr}")))?;
    socket.set_read_timeout(Some(SOON))?;
    Ok(socket)
}

/// The next datagram, and who sent it.
pub(crate) fn receive(socket: &UdpSocket) -> Result<(Vec<u8>, SocketAddrV4)> {
    let mut buffer = vec![0; 65536];
    let (len, from) = socket.recv_from(&mut buffer).context("no datagram came")?;
    buffer.truncate(len);
    match from {
        std::net::SocketAddr::V4(from) => Ok((buffer, from)),
        std::net::SocketAddr::V6(_) => anyhow::bail!("from {from}"),
    }
}

/// Sends a datagram and has it sent back; returns as whom the client appears.
pub(crate) fn echo(client: &UdpSocket, server: &UdpSocket, len: usize) -> Result<SocketAddrV4> {
    let sent = payload(len as u64, len);
    client.send_to(&sent, server.local_addr()?)?;
    let (came, seen) = receive(server).with_context(|| format!("{len} bytes out"))?;
    ensure!(came == sent, "{len} bytes came out changed");
    server.send_to(&sent, seen)?;
    let (came, from) = receive(client).with_context(|| format!("{len} bytes in"))?;
    ensure!(came == sent, "{len} bytes came in changed");
    ensure!(from.to_string() == server.local_addr()?.to_string());
    Ok(seen)
}

/// A ping of any size. The kernel makes and verifies the checksums.
pub(crate) fn large_ping(netns: &Netns, target: Ipv4Addr, len: usize) -> Result<()> {
    let open = || Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4));
    let socket: UdpSocket = netns.enter(|| open().context("ICMP socket"))?.into();
    socket.set_read_timeout(Some(SOON))?;
    socket.connect((target, 0))?;
    let request = [&[8, 0, 0, 0, 0, 0, 0, 1][..], &payload(7, len)].concat();
    socket.send(&request)?;
    let mut reply = vec![0; len + 64];
    let came = socket
        .recv(&mut reply)
        .with_context(|| format!("no answer to a ping of {len} bytes to {target}"))?;
    ensure!(reply[8..came] == request[8..], "the answer differs");
    Ok(())
}
