//! Brings the static elements of map `MAPPINGS` to what the configuration's forwards want.

use std::collections::HashMap;

use snat_common::{Mapping, MappingKey, MappingKind};

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
    let mut rounds = 0;
    loop {
        let mut plan = Plan::of(desired);
        map.for_each(|key, found| plan.see(key, &value(found)))?;
        // The datapath may have removed what it found in its place in the same moment: look again.
        if rounds == ROUNDS || (plan.missing.is_empty() && plan.stale.is_empty()) {
            return Ok(());
        }
        rounds += 1;
        // The side that is searched from outside first: the other one leads there.
        let mut missing: Vec<_> = plan.missing.iter().collect();
        missing.sort_by_key(|(key, _)| key[KIND_AT] == MappingKind::Inner as u8);
        for (key, mapping) in missing {
            map.set(key, bytes(mapping))?;
        }
        for key in &plan.stale {
            map.remove(key)?;
        }
    }
}

/// More than enough: what is written is lost only to an element that was being removed just then.
const ROUNDS: u32 = 4;

const KIND_AT: usize = std::mem::offset_of!(MappingKey, kind);

/// A key as it is in the map.
type Key = [u8; size_of::<MappingKey>()];

/// What is to be done.
struct Plan {
    wanted: HashMap<Key, Mapping>,
    /// To be written.
    missing: HashMap<Key, Mapping>,
    /// To be removed.
    stale: Vec<Key>,
}

impl Plan {
    /// For an empty map.
    fn of(desired: &HashMap<MappingKey, Mapping>) -> Self {
        let elements = desired.iter();
        let wanted: HashMap<_, _> = elements
            .map(|(key, mapping)| (key_bytes(key), *mapping))
            .collect();
        Self {
            missing: wanted.clone(),
            wanted,
            stale: Vec::new(),
        }
    }

    /// The map has this element.
    fn see(&mut self, key: &[u8], found: &Mapping) {
        let Ok(key) = Key::try_from(key) else {
            return;
        };
        match self.wanted.get(&key) {
            // How many flows hold it is none of the configuration's business.
            Some(wanted)
                if *found
                    == (Mapping {
                        held: found.held,
                        ..*wanted
                    }) =>
            {
                self.missing.remove(&key);
            }
            // A client's own until now: its side of it would lead nowhere.
            Some(_) if found.is_static == 0 && key[KIND_AT] == MappingKind::Outer as u8 => {
                let inner = inner_of(&key, found);
                if !self.wanted.contains_key(&inner) {
                    self.stale.push(inner);
                }
            }
            None if found.is_static != 0 => self.stale.push(key),
            _ => {}
        }
    }
}

/// Key of the inner element of the mapping whose outer one this is.
fn inner_of(key: &Key, outer: &Mapping) -> Key {
    let mut inner = *key;
    inner[0..4].copy_from_slice(&outer.addr);
    inner[8..10].copy_from_slice(&outer.port.to_ne_bytes());
    inner[KIND_AT] = MappingKind::Inner as u8;
    inner
}

fn key_bytes(key: &MappingKey) -> Key {
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

#[cfg(test)]
mod tests {
    use snat_common::Protocol;

    use super::{HashMap, Mapping, MappingKey, MappingKind, Plan, key_bytes};

    fn key(port: u16) -> MappingKey {
        MappingKey {
            addr: [192, 0, 2, 1],
            peer: [0; 4],
            port,
            protocol: Protocol::Tcp,
            kind: MappingKind::Outer,
        }
    }

    fn to(port: u16) -> Mapping {
        Mapping {
            held: 0,
            addr: [10, 0, 0, 5],
            port,
            filtering: 2,
            is_static: 1,
        }
    }

    #[test]
    fn forwards_are_added_replaced_and_removed_and_what_flows_made_stays() {
        let desired = HashMap::from([
            (key(1), to(1)),
            (key(2), to(2)),
            (key(3), to(3)),
            (key(4), to(4)),
        ]);
        let mut plan = Plan::of(&desired);
        let mut see = |port, found| plan.see(&key_bytes(&key(port)), &found);
        // 1 is missing. 2 is there, and a flow holds it.
        see(2, Mapping { held: 7, ..to(2) });
        // 3 leads to where it led before.
        see(3, to(30));
        // 4 was some client's own.
        see(
            4,
            Mapping {
                is_static: 0,
                ..to(4)
            },
        );
        // 5 is wanted no more, 6 never was and is a client's.
        see(5, to(5));
        see(
            6,
            Mapping {
                is_static: 0,
                ..to(6)
            },
        );

        let mut ports: Vec<_> = plan.missing.values().map(|mapping| mapping.port).collect();
        ports.sort_unstable();
        assert_eq!(ports, [1, 3, 4]);
        let inner = MappingKey {
            addr: [10, 0, 0, 5],
            kind: MappingKind::Inner,
            ..key(4)
        };
        assert_eq!(plan.stale, [key_bytes(&inner), key_bytes(&key(5))]);
    }
}
