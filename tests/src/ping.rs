//! ICMP echo with an identifier of the caller's choice.

use std::{
    io::Read as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use socket2::{Domain, Protocol, Socket, Type};

use crate::netns::Netns;

const HEADER: usize = 8;

/// Sends `count` echo requests with this identifier, each once the one before was answered. The
/// kernel makes and verifies the checksums. Returns the round-trip times.
pub fn ping(
    netns: &Netns,
    target: impl Into<IpAddr>,
    identifier: u16,
    count: u16,
) -> Result<Vec<Duration>> {
    let target = target.into();
    let (domain, protocol, any, request) = match target {
        IpAddr::V4(_) => (
            Domain::IPV4,
            Protocol::ICMPV4,
            Ipv4Addr::UNSPECIFIED.into(),
            8,
        ),
        IpAddr::V6(_) => (
            Domain::IPV6,
            Protocol::ICMPV6,
            Ipv6Addr::UNSPECIFIED.into(),
            128,
        ),
    };
    netns.enter(|| {
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol)).context("ICMP socket")?;
        socket
            .bind(&SocketAddr::new(any, identifier).into())
            .context("identifier")?;
        socket.connect(&SocketAddr::new(target, 0).into())?;
        socket.set_read_timeout(Some(Duration::from_secs(3)))?;
        (1..=count)
            .map(|sequence| exchange(&socket, request, sequence))
            .collect::<Result<Vec<_>>>()
            .with_context(|| {
                format!(
                    "ping from {} to {target}, identifier {identifier}",
                    netns.name()
                )
            })
    })
}

fn exchange(mut socket: &Socket, kind: u8, sequence: u16) -> Result<Duration> {
    let mut request = [0_u8; HEADER + 56];
    request[0] = kind;
    request[6..8].copy_from_slice(&sequence.to_be_bytes());
    for (at, byte) in (0_u8..).zip(&mut request[HEADER..]) {
        *byte = at;
    }
    let start = Instant::now();
    socket
        .send(&request)
        .with_context(|| format!("sending echo request {sequence}"))?;
    let mut reply = [0; HEADER + 64];
    let len = socket
        .read(&mut reply)
        .with_context(|| format!("no answer to echo request {sequence}"))?;
    let answer = if kind == 8 { 0 } else { kind + 1 };
    ensure!(
        reply[0] == answer,
        "ICMP type {} instead of an echo reply",
        reply[0]
    );
    ensure!(reply[6..8] == request[6..8], "answer to another request");
    ensure!(
        reply[HEADER..len] == request[HEADER..],
        "echo reply differs from the request"
    );
    Ok(start.elapsed())
}
