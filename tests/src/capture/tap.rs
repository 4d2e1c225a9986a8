//! Packets of one interface, whole, one after the other.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    checksum,
    socket::{Direction, PacketSocket, Received},
};
use crate::netns::Netns;

/// Hears every packet that an interface receives from now on, what the stack does with it or not.
pub struct Tap {
    socket: PacketSocket,
    name: String,
}

/// An IPv4 packet as it came; its accessors expect a header without surprises.
#[derive(Clone, PartialEq, Eq)]
pub struct Heard {
    /// From its IP header on, with whatever the frame had behind the packet.
    pub bytes: Vec<u8>,
}

impl Tap {
    /// Listens on `dev`.
    pub fn open(netns: &Netns, dev: &str) -> Result<Self> {
        let socket = netns.enter(|| PacketSocket::open(dev, Duration::from_millis(20)))?;
        let name = format!("{dev} of {}", netns.name());
        Ok(Self { socket, name })
    }

    /// Sends a whole IPv4 packet, and whatever is behind it, to a station on the link.
    pub fn send(&self, station: [u8; 6], bytes: &[u8]) -> Result<()> {
        self.socket
            .send(station, bytes)
            .with_context(|| format!("sending by {}", self.name))
    }

    /// Waits for a packet of which `wanted` makes something; others are forgotten.
    pub fn next<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut wanted: impl FnMut(&Heard) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + deadline;
        let mut others = 0;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.socket.receive(&mut buffer)? {
                Received::Ipv4(Direction::In, len) if len >= 20 => {
                    let heard = Heard {
                        bytes: buffer[..len].to_vec(),
                    };
                    if let Some(found) = wanted(&heard) {
                        return Ok(found);
                    }
                    others += 1;
                }
                Received::Ipv4(..) | Received::Ipv6(..) | Received::Other | Received::Nothing => {}
            }
            if Instant::now() >= end {
                bail!(
                    "{what} did not come to {} within {deadline:?}; {others} others did",
                    self.name
                );
            }
        }
    }

    /// What has come up to now and `wanted` makes something of. Only for what must have come already: it
    /// looks no longer than the queue is filled.
    pub fn all<T>(&self, mut wanted: impl FnMut(&Heard) -> Option<T>) -> Result<Vec<T>> {
        let mut found = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.socket.receive(&mut buffer)? {
                Received::Ipv4(Direction::In, len) if len >= 20 => {
                    let heard = Heard {
                        bytes: buffer[..len].to_vec(),
                    };
                    found.extend(wanted(&heard));
                }
                Received::Nothing => break,
                Received::Ipv4(..) | Received::Ipv6(..) | Received::Other => {}
            }
        }
        ensure!(
            self.socket.lost()? == 0,
            "packets were lost on {}",
            self.name
        );
        Ok(found)
    }
}

impl Heard {
    /// IANA protocol number.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.bytes[9]
    }

    /// Source address.
    #[must_use]
    pub fn src(&self) -> Ipv4Addr {
        self.address(12)
    }

    /// Destination address.
    #[must_use]
    pub fn dst(&self) -> Ipv4Addr {
        self.address(16)
    }

    /// What is behind the IP header, as far as the packet's length goes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let header = usize::from(self.bytes[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([self.bytes[2], self.bytes[3]]));
        self.bytes.get(header..total).unwrap_or_default()
    }

    /// What the frame has behind the packet.
    #[must_use]
    pub fn padding(&self) -> &[u8] {
        let total = usize::from(u16::from_be_bytes([self.bytes[2], self.bytes[3]]));
        self.bytes.get(total..).unwrap_or_default()
    }

    /// The 16 bits at an offset of the payload, 0 where it is shorter.
    #[must_use]
    pub fn word(&self, at: usize) -> u16 {
        match self.payload().get(at..at + 2) {
            Some(&[high, low]) => u16::from_be_bytes([high, low]),
            _ => 0,
        }
    }

    /// Source and destination port, of protocols that have them first.
    #[must_use]
    pub fn ports(&self) -> (u16, u16) {
        (self.word(0), self.word(2))
    }

    /// Fails unless each checksum is right.
    pub fn expect_sound(&self) -> Result<()> {
        match checksum::verify(&self.bytes) {
            Ok(_) => Ok(()),
            Err(fault) => bail!("{fault}: {:02x?}", self.bytes),
        }
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        let bytes = &self.bytes;
        Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
    }
}
