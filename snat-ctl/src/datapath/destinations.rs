//! External ports in use towards each server's port: where flows share ports, this is what runs out.

use std::{cmp::Reverse, collections::HashMap, net::Ipv4Addr};

use serde::Serialize;
use snat_common::Protocol;

use super::{
    Pins,
    map::{Map, MapError},
    names::{PROTOCOLS, protocol_name},
    pools::capacity,
    raw::{RawEntry, RawKey},
};

/// A server's port, as seen from an external address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// The external address.
    pub external: Ipv4Addr,
    /// As of a [`super::Pool`].
    pub protocol: &'static str,
    /// The server.
    pub server: Ipv4Addr,
    /// Its port; 0 for ICMP.
    pub server_port: u16,
    /// External ports in use towards it: no two flows may have the same.
    pub used: u64,
    /// How many there are.
    pub capacity: u64,
    /// The rest.
    pub free: u64,
}

/// Flows by destination: some 20 bytes of memory for each destination there is.
pub(super) struct Counts(HashMap<Towards, u32>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Towards {
    external: Ipv4Addr,
    server: Ipv4Addr,
    server_port: u16,
    protocol: u8,
}

impl Counts {
    /// Counts them now.
    pub(super) fn read(pins: &Pins) -> Result<Self, MapError> {
        let mut counts: HashMap<Towards, u32> = HashMap::new();
        Map::open(pins.dir(), "FLOWS")?.for_each(|key, entry| {
            let (Some(key), Some(entry)) = (RawKey::of(key), RawEntry::of(entry)) else {
                return;
            };
            if entry.is_out() && has_ports(key.protocol()) {
                *counts.entry(Towards::of(&key, &entry)).or_default() += 1;
            }
        })?;
        Ok(Self(counts))
    }

    /// Those with the largest numbers.
    pub(super) fn fullest(&self, pins: &Pins, limit: usize) -> Result<Vec<Destination>, MapError> {
        let capacity = capacity(pins)?;
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_unstable_by_key(|(towards, count)| (Reverse(**count), **towards));
        all.truncate(limit);
        let destinations = all.into_iter().map(|(towards, count)| {
            let capacity = capacity.get(&towards.external.octets());
            let (capacity, used) = (capacity.copied().unwrap_or_default(), u64::from(*count));
            Destination {
                external: towards.external,
                protocol: protocol_name(towards.protocol),
                server: towards.server,
                server_port: towards.server_port,
                used,
                capacity,
                free: capacity.saturating_sub(used),
            }
        });
        Ok(destinations.collect())
    }

    /// How many there were of one that was found later.
    pub(super) fn of(&self, destination: &Destination) -> u64 {
        let named = PROTOCOLS
            .iter()
            .find(|(_, name)| *name == destination.protocol);
        let towards = Towards {
            external: destination.external,
            server: destination.server,
            server_port: destination.server_port,
            protocol: named.map_or(0, |(protocol, _)| *protocol as u8),
        };
        self.0.get(&towards).copied().unwrap_or_default().into()
    }
}

impl Towards {
    fn of(key: &RawKey, out: &RawEntry) -> Self {
        Self {
            external: out.addr(),
            server: key.dst(),
            server_port: key.dst_port(),
            protocol: key.protocol(),
        }
    }
}

/// Whether the external port is the gateway's to choose.
fn has_ports(number: u8) -> bool {
    let known = PROTOCOLS
        .iter()
        .find(|(protocol, _)| *protocol as u8 == number);
    known.is_some_and(|(protocol, _)| Protocol::has_ports(*protocol))
}
