//! Packets of our own from every source, to see whether answers come.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use serde::Serialize;
use snat_common::checksum;
use socket2::{Domain, Protocol, Socket, Type};

use super::resolve::Found;
use crate::cli::eni::ProbeTarget;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// ICMP echo request (RFC 792) and its ICMPv6 counterpart (RFC 4443 §4.1).
const ECHO: u8 = 8;
const ECHO_V6: u8 = 128;

/// One attempt.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// Interface that has the source.
    pub interface: String,
    /// Source address.
    pub source: IpAddr,
    /// Whom it was sent to.
    pub target: String,
    /// How long the answer took.
    pub milliseconds: Option<f64>,
    /// Why there was none.
    pub error: Option<String>,
}

impl Probe {
    /// For a person.
    #[must_use]
    pub fn answer(&self) -> String {
        match (&self.error, self.milliseconds) {
            (Some(error), _) => error.clone(),
            (None, Some(time)) => format!("answered after {time:.1} ms"),
            (None, None) => "answered".to_owned(),
        }
    }
}

/// Every target from every address of its family.
#[must_use]
pub fn all(found: &Found, targets: &[ProbeTarget]) -> Vec<Probe> {
    let mut probes = Vec::new();
    for target in targets {
        for interface in &found.interfaces {
            let sources = interface.addresses.iter().map(ipnet::IpNet::addr);
            for source in sources.filter(|source| source.is_ipv4() == target.addr.is_ipv4()) {
                let begin = Instant::now();
                let result = probe(source, *target);
                let took = begin.elapsed().as_secs_f64() * 1000.0;
                probes.push(Probe {
                    interface: interface.name.clone(),
                    source,
                    target: match target.port {
                        Some(port) => SocketAddr::new(target.addr, port).to_string(),
                        None => target.addr.to_string(),
                    },
                    milliseconds: result.is_ok().then_some(took),
                    error: result.err().map(|error| error.to_string()),
                });
            }
        }
    }
    probes
}

fn probe(source: IpAddr, target: ProbeTarget) -> io::Result<()> {
    attempt(source, target).map_err(|error| match error.kind() {
        // A read that waited in vain ends with `EAGAIN`.
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            let words = format!("no answer within {} s", PATIENCE.as_secs());
            io::Error::new(ErrorKind::TimedOut, words)
        }
        _ => error,
    })
}

fn attempt(source: IpAddr, target: ProbeTarget) -> io::Result<()> {
    let domain = Domain::for_address(SocketAddr::new(source, 0));
    match target.port {
        Some(port) => {
            let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect_timeout(&SocketAddr::new(target.addr, port).into(), PATIENCE)
        }
        None => echo(domain, source, target.addr),
    }
}

/// A raw socket, as `ping_group_range` leaves the other kind to nobody by default.
fn echo(domain: Domain, source: IpAddr, target: IpAddr) -> io::Result<()> {
    let (protocol, kind) = match target {
        IpAddr::V4(_) => (Protocol::ICMPV4, ECHO),
        IpAddr::V6(_) => (Protocol::ICMPV6, ECHO_V6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&SocketAddr::new(target, 0).into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let identifier = std::process::id() as u16;
    socket.send(&request(kind, identifier))?;
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; 1500];
    while Instant::now() < deadline {
        let length = io::Read::read(&mut &socket, &mut buffer)?;
        if is_reply(&buffer[..length], target, identifier) {
            return Ok(());
        }
    }
    Err(ErrorKind::TimedOut.into())
}

/// The kernel fills the checksum of ICMPv6 in, not of ICMP.
fn request(kind: u8, identifier: u16) -> [u8; 8] {
    let [high, low] = identifier.to_be_bytes();
    let mut packet = [kind, 0, 0, 0, high, low, 0, 1];
    if kind == ECHO {
        let words = packet.chunks_exact(2);
        let sum = words
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        packet[2..4].copy_from_slice(&(!checksum::fold(sum)).to_be_bytes());
    }
    packet
}

fn is_reply(packet: &[u8], target: IpAddr, identifier: u16) -> bool {
    let (kind, icmp) = match target {
        // With its IP header.
        IpAddr::V4(_) => {
            let length = packet
                .first()
                .map_or(0, |first| usize::from(first & 15) * 4);
            (0, packet.get(length..).unwrap_or_default())
        }
        IpAddr::V6(_) => (ECHO_V6 + 1, packet),
    };
    icmp.first() == Some(&kind) && icmp.get(4..6) == Some(&identifier.to_be_bytes())
}
