//! How full the tables beside the flow table are, and how many ports of each external address are taken.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde::Serialize;
use snat_common::{Event, Shared, tries};

use super::{
    Pins,
    map::{Map, MapError, value},
    pools::{Mappings, Pool, mappings},
};

/// What the tables hold.
#[derive(Clone, Debug, Serialize)]
pub struct Occupancy {
    /// Mappings: external ports that are a client endpoint's own, forwards not counted.
    pub mappings: Room,
    /// Elements of their map, which is what fills it: two of each mapping, and one of each server that may speak to one.
    pub mapping_elements: Room,
    /// Forwards.
    pub forwards: u64,
    /// Clients with flows.
    pub clients: Room,
    /// Ports by external address and protocol, of those that have any taken.
    pub ports: Vec<Ports>,
}

/// How much of something is used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Room {
    /// So many.
    pub used: u64,
    /// Of so many.
    pub max: u64,
}

/// The ports of an external address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// The address.
    pub external: Ipv4Addr,
    /// The protocol: each has ports of its own.
    pub protocol: &'static str,
    /// A client endpoint's own, with flows.
    pub used: u64,
    /// Without flows: kept for a while before another client may have them.
    pub resting: u64,
    /// How many may be handed out.
    pub max: u64,
}

/// Counts them.
///
/// # Errors
///
/// [`MapError`].
pub fn occupancy(pins: &Pins) -> Result<Occupancy, MapError> {
    let Mappings {
        pools,
        forwards,
        elements,
    } = mappings(pins)?;
    let ports: Vec<_> = pools.iter().filter_map(Ports::taken).collect();
    let used = ports.iter().map(|ports| ports.used + ports.resting).sum();
    let elements = mapping_room(pins, elements)?;
    Ok(Occupancy {
        mappings: Room {
            used,
            max: elements.max / 2,
        },
        mapping_elements: elements,
        forwards,
        clients: crowd(pins)?.1,
        ports,
    })
}

impl Ports {
    /// How many are not to be had by another client, of how many.
    #[must_use]
    pub fn room(&self) -> Room {
        Room {
            used: self.used + self.resting,
            max: self.max,
        }
    }

    /// Of a pool of which any are.
    fn taken(pool: &Pool) -> Option<Self> {
        (pool.used + pool.resting > 0).then_some(Self {
            external: pool.external,
            protocol: pool.protocol,
            used: pool.used,
            resting: pool.resting,
            max: pool.capacity,
        })
    }
}

/// The room of map `MAPPINGS`, with so many elements in it.
///
/// # Errors
///
/// [`MapError`].
pub fn mapping_room(pins: &Pins, elements: u64) -> Result<Room, MapError> {
    Ok(Room {
        used: elements,
        max: Map::open(pins.dir(), "MAPPINGS")?.max_entries().into(),
    })
}

/// Flows and clients, as the datapath itself counts them: no walk.
///
/// # Errors
///
/// [`MapError`].
pub fn crowd(pins: &Pins) -> Result<(Room, Room), MapError> {
    let shared = Map::open(pins.dir(), "SHARED")?.get(&0_u32.to_ne_bytes())?;
    let count = |at: usize| match &shared {
        Some(bytes) => value(&bytes[at..at + size_of::<u64>()]),
        None => 0,
    };
    let max = |map| Ok(u64::from(Map::open(pins.dir(), map)?.max_entries()));
    let flows = Room {
        used: count(std::mem::offset_of!(Shared, flows)),
        max: max("FLOWS")? / 2,
    };
    let clients = Room {
        used: count(std::mem::offset_of!(Shared, clients)),
        max: max("CLIENTS")?,
    };
    Ok((flows, clients))
}

/// Reads the counters of events, by name.
///
/// # Errors
///
/// [`MapError`].
pub fn events(pins: &Pins) -> Result<BTreeMap<&'static str, u64>, MapError> {
    let map = Map::open(pins.dir(), "EVENTS")?;
    let event = |event: &Event| Ok((event.name(), over_cpus(&map, *event as u32)?));
    Event::ALL.iter().map(event).collect()
}

/// Reads how many ports searches have tried: elements as [`snat_common::tries`] says.
///
/// # Errors
///
/// [`MapError`].
pub fn claim_tries(pins: &Pins) -> Result<Vec<u64>, MapError> {
    let map = Map::open(pins.dir(), "CLAIM_TRIES")?;
    (0..tries::ELEMENTS)
        .map(|element| over_cpus(&map, element))
        .collect()
}

/// The sum of an element of a per-CPU array.
fn over_cpus(map: &Map, element: u32) -> Result<u64, MapError> {
    let per_cpu = map.get(&element.to_ne_bytes())?.unwrap_or_default();
    let counters = per_cpu.chunks_exact(size_of::<u64>());
    Ok(counters.map(value::<u64>).sum())
}

/// Reads the counter of one event.
///
/// # Errors
///
/// [`MapError`].
pub fn event_count(pins: &Pins, event: Event) -> Result<u64, MapError> {
    over_cpus(&Map::open(pins.dir(), "EVENTS")?, event as u32)
}
