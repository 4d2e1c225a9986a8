//! Brings the static elements of map `MAPPINGS` to what the configuration's forwards want.

use std::collections::{HashMap, HashSet};

use snat_common::{Mapping, MappingKey};

use super::{
    Pins,
    map::{Map, MapError, bytes, value},
};

/// Adds what is missing, replaces what differs, and removes static elements that nobody wants any more.
/// What clients' flows have made stays, unless a forward takes its place.
pub(super) fn reconcile(
    pins: &Pins,
    desired: &HashMap<MappingKey, Mapping>,
) -> Result<(), MapError> {
    let map = Map::open(pins.dir(), "MAPPINGS")?;
    let wanted: HashMap<_, _> = desired
        .iter()
        .map(|(key, mapping)| (key_bytes(key).to_vec(), *mapping))
        .collect();
    let mut right = HashSet::new();
    let mut stale = Vec::new();
    map.for_each(|key, found| {
        let found: Mapping = value(found);
        match wanted.get(key) {
            // How many flows hold it is none of the configuration's business.
            Some(wanted) if same(wanted, &found) => {
                right.insert(key.to_vec());
            }
            None if found.is_static != 0 => stale.push(key.to_vec()),
            _ => {}
        }
    })?;
    for (key, mapping) in wanted.iter().filter(|(key, _)| !right.contains(*key)) {
        map.set(key, bytes(mapping))?;
    }
    for key in stale {
        map.remove(&key)?;
    }
    Ok(())
}

fn same(wanted: &Mapping, found: &Mapping) -> bool {
    let held = found.held;
    *found == Mapping { held, ..*wanted }
}

fn key_bytes(key: &MappingKey) -> [u8; size_of::<MappingKey>()] {
    let MappingKey {
        addr,
        peer,
        port,
        protocol,
        kind,
    } = *key;
    let mut bytes = [0; size_of::<MappingKey>()];
    bytes[0..4].copy_from_slice(&addr);
    bytes[4..8].copy_from_slice(&peer);
    bytes[8..10].copy_from_slice(&port.to_ne_bytes());
    bytes[10] = protocol as u8;
    bytes[11] = kind as u8;
    bytes
}
