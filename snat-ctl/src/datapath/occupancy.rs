//! How full the tables beside the flow table are, and how many ports of each external address are taken.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde::Serialize;
use snat_common::{
    Client, Event, Held, Mapping, MappingKey, MappingKind, PortSet,
    settings::{MAX_PORT_SETS, PORT_WORDS},
};

use super::{
    Pins,
    map::{Map, MapError, value},
    names::protocol_name,
};

/// What the tables hold.
#[derive(Clone, Debug, Serialize)]
pub struct Occupancy {
    /// Mappings: external ports that are a client endpoint's own, forwards not counted.
    pub mappings: Room,
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
    let map = Map::open(pins.dir(), "MAPPINGS")?;
    let mut forwards = 0;
    let mut taken: BTreeMap<([u8; 4], u8), (u64, u64)> = BTreeMap::new();
    map.for_each(|key, mapping| {
        if key[std::mem::offset_of!(MappingKey, kind)] != MappingKind::Outer as u8 {
            return;
        }
        let mapping: Mapping = value(mapping);
        if mapping.is_static != 0 {
            forwards += 1;
            return;
        }
        let addr = [key[0], key[1], key[2], key[3]];
        let protocol = key[std::mem::offset_of!(MappingKey, protocol)];
        let (used, resting) = taken.entry((addr, protocol)).or_default();
        if Held::holders(mapping.held) == 0 {
            *resting += 1;
        } else {
            *used += 1;
        }
    })?;
    let capacity = capacity(pins)?;
    let ports: Vec<_> = taken
        .into_iter()
        .map(|((addr, protocol), (used, resting))| Ports {
            external: addr.into(),
            protocol: protocol_name(protocol),
            used,
            resting,
            max: capacity.get(&addr).copied().unwrap_or_default(),
        })
        .collect();
    let used = ports.iter().map(|ports| ports.used + ports.resting).sum();
    // A mapping is an element from each side, and permissions are in the same map.
    let max = u64::from(map.max_entries() / 2);
    Ok(Occupancy {
        mappings: Room { used, max },
        forwards,
        clients: clients(pins)?,
        ports,
    })
}

/// Reads the counters of events, by name.
///
/// # Errors
///
/// [`MapError`].
pub fn events(pins: &Pins) -> Result<BTreeMap<&'static str, u64>, MapError> {
    let map = Map::open(pins.dir(), "EVENTS")?;
    let mut events = BTreeMap::new();
    for event in Event::ALL {
        let per_cpu = map.get(&(*event as u32).to_ne_bytes())?.unwrap_or_default();
        let sum = per_cpu
            .chunks_exact(size_of::<u64>())
            .map(value::<u64>)
            .sum();
        events.insert(event.name(), sum);
    }
    Ok(events)
}

fn clients(pins: &Pins) -> Result<Room, MapError> {
    let map = Map::open(pins.dir(), "CLIENTS")?;
    let mut used = 0;
    map.for_each(|_, client| {
        used += u64::from(Held::holders(value::<Client>(client).held) != 0);
    })?;
    let max = u64::from(map.max_entries());
    Ok(Room { used, max })
}

/// How many ports each external address has to hand out, over all entries that translate to it.
fn capacity(pins: &Pins) -> Result<BTreeMap<[u8; 4], u64>, MapError> {
    let port_sets = Map::open(pins.dir(), "PORT_SETS")?;
    let mut allowed = Vec::new();
    for index in 0..MAX_PORT_SETS {
        let set = port_sets.get(&index.to_ne_bytes())?.unwrap_or_default();
        allowed.push(words(&set));
    }
    let mut capacity = BTreeMap::new();
    Map::open(pins.dir(), "EXTERNALS")?.for_each(|addr, sets| {
        if let Ok(addr) = <[u8; 4]>::try_from(addr) {
            capacity.insert(addr, ports_in(value(sets), &allowed));
        }
    })?;
    Ok(capacity)
}

/// How many different ports there are in the port sets given as bits.
fn ports_in(sets: u32, allowed: &[Vec<u64>]) -> u64 {
    let mut union = vec![0; PORT_WORDS as usize];
    for (index, words) in allowed.iter().enumerate() {
        if sets >> index & 1 == 1 {
            union
                .iter_mut()
                .zip(words)
                .for_each(|(all, word)| *all |= word);
        }
    }
    union
        .iter()
        .map(|word: &u64| u64::from(word.count_ones()))
        .sum()
}

/// The bits of a `PortSet`.
fn words(set: &[u8]) -> Vec<u64> {
    let bytes = set.get(std::mem::offset_of!(PortSet, allowed)..);
    let words = bytes.unwrap_or_default().chunks_exact(size_of::<u64>());
    words.take(PORT_WORDS as usize).map(value::<u64>).collect()
}

#[cfg(test)]
mod tests {
    use super::{PORT_WORDS, ports_in};

    #[test]
    fn ports_of_several_entries_with_one_address_count_once() {
        let set = |first: u64| {
            let mut words = vec![0; PORT_WORDS as usize];
            words[0] = first;
            words
        };
        let allowed = [set(0b0111), set(0b1100), set(0b1_0000)];
        assert_eq!(ports_in(0, &allowed), 0);
        assert_eq!(ports_in(0b001, &allowed), 3);
        assert_eq!(ports_in(0b011, &allowed), 4);
        assert_eq!(ports_in(0b111, &allowed), 5);
    }
}
