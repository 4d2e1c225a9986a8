//! External ports: how many each address has, and how many are a client endpoint's own.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde::Serialize;
use snat_common::{
    Addr, Held, Mapping, MappingKey, MappingKind, PortSet, Protocol, Settings,
    settings::{PORT_SET_SLOTS, PORT_WORDS, protocols},
};

use super::{
    Pins,
    map::{Map, MapError, value},
    names::protocol_name,
};

/// The ports of an external address and protocol: each protocol has ports of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// The address.
    pub external: Ipv4Addr,
    /// `tcp`, `udp`, `icmp` (whose ports are echo identifiers) or `udp_lite`.
    pub protocol: &'static str,
    /// How many may be handed out, over all entries that translate to the address.
    pub capacity: u64,
    /// A client endpoint's own, with flows.
    pub used: u64,
    /// Without flows: kept for a while before another client may have them.
    pub resting: u64,
    /// The rest.
    pub free: u64,
}

/// Every pool that the configuration makes, also those that nobody uses.
///
/// # Errors
///
/// [`MapError`].
pub fn pools(pins: &Pins) -> Result<Vec<Pool>, MapError> {
    Ok(mappings(pins)?.pools)
}

/// What map `MAPPINGS` is full of.
pub(super) struct Mappings {
    pub(super) pools: Vec<Pool>,
    pub(super) forwards: u64,
    /// All that is in the map: of each mapping one from each side, and permissions.
    pub(super) elements: u64,
}

/// Counts it.
pub(super) fn mappings(pins: &Pins) -> Result<Mappings, MapError> {
    let mut taken = Taken::default();
    let map = Map::open(pins.dir(), "MAPPINGS")?;
    map.for_each(|key, mapping| taken.count(key, &value(mapping)))?;
    Ok(Mappings {
        pools: taken.of_pools(pins)?,
        forwards: taken.forwards,
        elements: taken.elements,
    })
}

/// What a walk over map `MAPPINGS` counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    ports: Ports,
    forwards: u64,
    elements: u64,
}

/// Used and resting ports by address and protocol.
type Ports = BTreeMap<(Addr, u8), (u64, u64)>;

impl Taken {
    /// Counts an element.
    pub(super) fn count(&mut self, key: &[u8], mapping: &Mapping) {
        self.elements += 1;
        if key[std::mem::offset_of!(MappingKey, kind)] != MappingKind::Outer as u8 {
            return;
        }
        if mapping.is_static != 0 {
            self.forwards += 1;
            return;
        }
        let addr = [key[0], key[1], key[2], key[3]];
        let protocol = key[std::mem::offset_of!(MappingKey, protocol)];
        let (used, resting) = self.ports.entry((addr, protocol)).or_default();
        if Held::holders(mapping.held) == 0 {
            *resting += 1;
        } else {
            *used += 1;
        }
    }

    /// So many elements are no more.
    pub(super) fn uncount(&mut self, elements: u64) {
        self.elements = self.elements.saturating_sub(elements);
    }

    /// How many elements there were.
    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    /// As parts of the pools that the configuration makes now.
    pub(super) fn of_pools(&self, pins: &Pins) -> Result<Vec<Pool>, MapError> {
        let capacity = capacity(pins)?;
        let mut ports = empty(pins, &capacity)?;
        ports.extend(&self.ports);
        let pools = ports
            .into_iter()
            .map(|((addr, protocol), (used, resting))| {
                let capacity = capacity.get(&addr).copied().unwrap_or_default();
                Pool {
                    external: addr.into(),
                    protocol: protocol_name(protocol),
                    capacity,
                    used,
                    resting,
                    // A new configuration may have fewer than are taken.
                    free: capacity.saturating_sub(used + resting),
                }
            });
        Ok(pools.collect())
    }
}

/// Nothing taken of any pool there is.
fn empty(pins: &Pins, capacity: &BTreeMap<Addr, u64>) -> Result<Ports, MapError> {
    let settings = Map::open(pins.dir(), "SETTINGS")?.get(&0_u32.to_ne_bytes())?;
    let translated = settings.map_or(0, |bytes| value::<Settings>(&bytes).protocols);
    let mut ported = vec![Protocol::Icmp, Protocol::Tcp, Protocol::Udp];
    if translated & protocols::UDP_LITE != 0 {
        ported.push(Protocol::UdpLite);
    }
    // The host's own addresses are in the map, too, with no ports to hand out.
    let serving = capacity.iter().filter(|(_, ports)| **ports > 0);
    Ok(serving
        .flat_map(|(addr, _)| {
            ported
                .iter()
                .map(|protocol| ((*addr, *protocol as u8), (0, 0)))
        })
        .collect())
}

/// How many ports each external address has to hand out, over all entries that translate to it.
pub(super) fn capacity(pins: &Pins) -> Result<BTreeMap<Addr, u64>, MapError> {
    let port_sets = Map::open(pins.dir(), "PORT_SETS")?;
    let mut allowed = Vec::new();
    for index in 0..PORT_SET_SLOTS {
        let set = port_sets.get(&index.to_ne_bytes())?.unwrap_or_default();
        allowed.push(words(&set));
    }
    let mut capacity = BTreeMap::new();
    Map::open(pins.dir(), "EXTERNALS")?.for_each(|addr, sets| {
        if let Ok(addr) = Addr::try_from(addr) {
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
