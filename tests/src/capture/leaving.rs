//! Which source addresses leave by which interface, counted where the packets arrive.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::socket::{Direction, PacketSocket, Received};
use crate::netns::Netns;

/// A pause this long is the end of what must have come.
const PAUSE: Duration = Duration::from_millis(20);
/// Time to take in far more than a test sends.
const ENOUGH: Duration = Duration::from_millis(500);

/// Packets by the interface they left by and their source.
pub type Counted = BTreeMap<(&'static str, IpAddr), u64>;

/// Counts IPv4 and IPv6 packets from now on, without those by which IPv6 runs its own link.
pub struct Leaving {
    ways: Vec<(&'static str, PacketSocket)>,
}

impl Leaving {
    /// Listens at the far ends: pairs of an interface that is spoken of, and its peer in this namespace.
    pub fn watch(
        peers: &Netns,
        ways: impl IntoIterator<Item = (&'static str, &'static str)> + Send,
    ) -> Result<Self> {
        let open = |(dev, peer)| Ok((dev, PacketSocket::open(peer, PAUSE)?));
        let ways = peers.enter(|| ways.into_iter().map(open).collect::<Result<_>>())?;
        Ok(Self { ways })
    }

    /// What has come since the start or the last call. Only for what must have come already: it ends with a pause
    /// in the traffic, or where there is none, soon.
    pub fn count(&self) -> Result<Counted> {
        let mut counted = Counted::new();
        let mut buffer = vec![0; 1 << 16];
        for (dev, socket) in &self.ways {
            let end = Instant::now() + ENOUGH;
            while Instant::now() < end {
                let source = match socket.receive(&mut buffer)? {
                    Received::Nothing => break,
                    Received::Ipv4(Direction::In, len) => source4(&buffer[..len]),
                    Received::Ipv6(Direction::In, len) => source6(&buffer[..len]),
                    Received::Ipv4(..) | Received::Ipv6(..) | Received::Other => None,
                };
                if let Some(source) = source {
                    *counted.entry((*dev, source)).or_default() += 1;
                }
            }
            let lost = socket.lost()?;
            ensure!(lost == 0, "{lost} packets that left by {dev} were not seen");
        }
        Ok(counted)
    }
}

fn source4(packet: &[u8]) -> Option<IpAddr> {
    Some(<[u8; 4]>::try_from(packet.get(12..16)?).ok()?.into())
}

/// `None` for neighbour discovery (RFC 4861) and for multicast listeners (RFC 3810), whose reports begin with a
/// hop-by-hop header.
fn source6(packet: &[u8]) -> Option<IpAddr> {
    let (next_header, icmp_type) = (*packet.get(6)?, *packet.get(40)?);
    if next_header == 0 || (next_header == 58 && (130..=143).contains(&icmp_type)) {
        return None;
    }
    Some(<[u8; 16]>::try_from(packet.get(8..24)?).ok()?.into())
}
