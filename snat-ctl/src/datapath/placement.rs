//! Where a configuration stands in maps whose elements are found by number: beside the one at work.
//!
//! An element that packets may find is never written to. What the new configuration has in common with the one at work stays
//! where it is; the rest goes to elements that nothing points to. What is at work is read from the maps themselves, so
//! whoever comes after a process that was killed half-way knows it too.

use std::collections::BTreeSet;

use snat_common::{
    Addr, PortSet, SnatEntry,
    settings::{ENTRY_SLOTS, POOL_SLOTS, PORT_SET_SLOTS, PORT_WORDS},
};

use super::{
    Desired, Pins,
    map::{Map, MapError, bytes, value},
    populate::{PopulateError, index_key},
};

/// What is to be written, and where.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// Index in `ENTRIES` of each entry, in the configuration's order.
    pub(super) entries: Vec<u32>,
    /// Index in `PORT_SETS` of each port set.
    pub(super) port_sets: Vec<u32>,
    new_entries: Vec<(u32, SnatEntry)>,
    new_pool: Vec<(u32, Addr)>,
    new_port_sets: Vec<(u32, Vec<u8>)>,
}

/// What packets may find now.
#[derive(Debug, Default)]
struct AtWork {
    entries: Vec<(u32, SnatEntry)>,
    pool: Vec<Addr>,
    port_sets: Vec<(u32, Vec<u8>)>,
}

impl Placement {
    /// Finds a place for everything; writes nothing.
    pub(super) fn find(pins: &Pins, desired: &Desired) -> Result<Self, PopulateError> {
        let at_work = AtWork::read(pins)?;
        Self::beside(&at_work, desired).ok_or(PopulateError::NoRoom)
    }

    /// Writes what is new. Nothing points to it yet. True: a set of ports was among it.
    pub(super) fn write(&self, pins: &Pins) -> Result<bool, MapError> {
        let open = |name| Map::open(pins.dir(), name);
        let port_sets = open("PORT_SETS")?;
        for (index, set) in &self.new_port_sets {
            port_sets.set(&index.to_ne_bytes(), set)?;
        }
        let pool = open("POOL")?;
        for (index, addr) in &self.new_pool {
            pool.set(&index.to_ne_bytes(), addr)?;
        }
        let entries = open("ENTRIES")?;
        for (index, entry) in &self.new_entries {
            entries.set(&index.to_ne_bytes(), bytes(entry))?;
        }
        Ok(!self.new_port_sets.is_empty())
    }

    /// Sets of ports as bits, by their place instead of their number in the configuration.
    pub(super) fn bits(&self, sets: u32) -> u32 {
        let placed = self.port_sets.iter().enumerate();
        placed
            .filter(|(number, _)| sets >> number & 1 != 0)
            .fold(0, |bits, (_, slot)| bits | 1 << slot)
    }

    /// `None` where there is no room: two configurations fit, what is left of a third may not.
    fn beside(at_work: &AtWork, desired: &Desired) -> Option<Self> {
        let mut placement = Self::default();
        placement.place_port_sets(at_work, desired)?;
        placement.place_entries(at_work, desired)?;
        Some(placement)
    }

    fn place_port_sets(&mut self, at_work: &AtWork, desired: &Desired) -> Option<()> {
        let mut taken: BTreeSet<_> = at_work.port_sets.iter().map(|(slot, _)| *slot).collect();
        for ports in &desired.port_sets {
            let set = port_set(ports);
            let same = at_work.port_sets.iter().find(|(_, old)| *old == set);
            let slot = match same {
                Some((slot, _)) => *slot,
                None => {
                    let slot = (0..PORT_SET_SLOTS).find(|slot| !taken.contains(slot))?;
                    self.new_port_sets.push((slot, set));
                    slot
                }
            };
            taken.insert(slot);
            self.port_sets.push(slot);
        }
        Some(())
    }

    fn place_entries(&mut self, at_work: &AtWork, desired: &Desired) -> Option<()> {
        let mut taken: BTreeSet<_> = at_work.entries.iter().map(|(slot, _)| *slot).collect();
        let mut reused = BTreeSet::new();
        let mut pool = Pool::of(at_work);
        for entry in &desired.entries {
            let addrs = range(&desired.pool, entry);
            let pool_first = match pool.find(addrs) {
                Some(first) => first,
                None => {
                    let first = pool.take(addrs)?;
                    let new = addrs.iter().enumerate();
                    self.new_pool
                        .extend(new.map(|(at, addr)| (u32::from(first) + at as u32, *addr)));
                    first
                }
            };
            let entry = SnatEntry {
                pool_first,
                port_set: *self.port_sets.get(entry.port_set as usize)?,
                ..*entry
            };
            let mut same = at_work.entries.iter().filter(|(_, old)| *old == entry);
            let slot = match same.find(|(slot, _)| !reused.contains(slot)) {
                Some((slot, _)) => *slot,
                None => {
                    let slot = (0..ENTRY_SLOTS).find(|slot| !taken.contains(slot))?;
                    self.new_entries.push((slot, entry));
                    slot
                }
            };
            taken.insert(slot);
            reused.insert(slot);
            self.entries.push(slot);
        }
        Some(())
    }
}

impl AtWork {
    /// What the prefixes in `SOURCES` lead to.
    fn read(pins: &Pins) -> Result<Self, MapError> {
        let open = |name| Map::open(pins.dir(), name);
        let (sources, entries) = (open("SOURCES")?, open("ENTRIES")?);
        let mut used = BTreeSet::new();
        for key in sources.keys()? {
            used.extend(sources.get(&key)?.map(|index| value::<u32>(&index)));
        }
        let mut at_work = Self::default();
        for index in used {
            let entry = entries.get(&index.to_ne_bytes())?;
            at_work
                .entries
                .extend(entry.map(|entry| (index, value::<SnatEntry>(&entry))));
        }
        let pool = open("POOL")?;
        for index in 0..POOL_SLOTS as usize {
            let addr = pool.get(&index_key(index))?;
            at_work.pool.push(addr.map_or([0; 4], |addr| value(&addr)));
        }
        let port_sets = open("PORT_SETS")?;
        let used: BTreeSet<_> = at_work
            .entries
            .iter()
            .map(|(_, entry)| entry.port_set)
            .collect();
        for index in used {
            let set = port_sets.get(&index.to_ne_bytes())?;
            at_work.port_sets.extend(set.map(|set| (index, set)));
        }
        Ok(at_work)
    }
}

/// The addresses of an entry.
fn range<'a>(pool: &'a [Addr], entry: &SnatEntry) -> &'a [Addr] {
    let first = usize::from(entry.pool_first);
    let last = first + usize::from(entry.pool_len);
    pool.get(first..last).unwrap_or_default()
}

/// Addresses that packets may find, and those that this configuration adds.
struct Pool {
    addrs: Vec<Option<Addr>>,
    /// First element and length of each entry's.
    ranges: Vec<(u16, u16)>,
}

impl Pool {
    fn of(at_work: &AtWork) -> Self {
        let mut pool = Self {
            addrs: vec![None; POOL_SLOTS as usize],
            ranges: Vec::new(),
        };
        for (_, entry) in &at_work.entries {
            pool.put(entry.pool_first, range(&at_work.pool, entry));
        }
        pool
    }

    fn put(&mut self, first: u16, addrs: &[Addr]) {
        for (at, addr) in addrs.iter().enumerate() {
            self.addrs[usize::from(first) + at] = Some(*addr);
        }
        self.ranges.push((first, addrs.len() as u16));
    }

    /// Where these stand already.
    fn find(&self, addrs: &[Addr]) -> Option<u16> {
        let same = |(first, len): &&(u16, u16)| {
            let there = self.addrs[usize::from(*first)..]
                .iter()
                .take(usize::from(*len));
            there.flatten().eq(addrs)
        };
        self.ranges.iter().find(same).map(|(first, _)| *first)
    }

    /// Elements beside each other that nothing points to.
    fn take(&mut self, addrs: &[Addr]) -> Option<u16> {
        let free = |run: &[Option<Addr>]| run.iter().all(Option::is_none);
        let first = self.addrs.windows(addrs.len().max(1)).position(free)? as u16;
        self.put(first, addrs);
        Some(first)
    }
}

/// As `PortSet` lays it out. `ports` are ascending.
fn port_set(ports: &[u16]) -> Vec<u8> {
    let low = ports.partition_point(|port| *port < 1024);
    let mut allowed = [0_u64; PORT_WORDS as usize];
    for port in ports {
        allowed[usize::from(port / 64)] |= 1 << (port % 64);
    }
    let mut bytes = Vec::with_capacity(size_of::<PortSet>());
    bytes.extend((ports.len() as u32).to_ne_bytes());
    bytes.extend((low as u32).to_ne_bytes());
    bytes.extend(allowed.iter().flat_map(|word| word.to_ne_bytes()));
    bytes.extend(ports.iter().flat_map(|port| port.to_ne_bytes()));
    bytes.resize(size_of::<PortSet>(), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, collections::HashMap, mem::offset_of};

    use snat_common::Settings;

    use super::{Addr, AtWork, Desired, Placement, PortSet, SnatEntry, port_set};

    #[test]
    fn a_port_set_says_the_same_in_numbers_bits_and_a_list() {
        let ports = [1, 1023, 1024, 65535];
        let bytes = port_set(&ports);
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(offset_of!(PortSet, len)), 4);
        assert_eq!(word(offset_of!(PortSet, low)), 2);
        for port in 0..=u16::MAX {
            let at = offset_of!(PortSet, allowed) + usize::from(port / 64) * 8;
            let word = u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
            assert_eq!(
                word >> (port % 64) & 1 == 1,
                ports.contains(&port),
                "{port}"
            );
        }
        let list = bytes[offset_of!(PortSet, ports)..].chunks_exact(2);
        let list = list.map(|port| u16::from_ne_bytes(port.try_into().unwrap()));
        assert_eq!(list.take(5).collect::<Vec<_>>(), [1, 1023, 1024, 65535, 0]);
        assert_eq!(bytes.len(), size_of::<PortSet>());
    }

    const A: Addr = [192, 0, 2, 1];
    const B: Addr = [192, 0, 2, 2];

    fn desired(pools: &[&[Addr]], ports: &[&[u16]]) -> Desired {
        let mut desired = Desired {
            settings: Settings::unset(),
            entries: Vec::new(),
            pool: Vec::new(),
            externals: BTreeMap::new(),
            sources: Vec::new(),
            bypass: Vec::new(),
            port_sets: ports.iter().map(|ports| ports.to_vec()).collect(),
            forwards: HashMap::new(),
        };
        for (number, addrs) in pools.iter().enumerate() {
            desired.entries.push(SnatEntry {
                pool_first: desired.pool.len() as u16,
                pool_len: addrs.len() as u16,
                port_set: (number % ports.len()) as u32,
                mapping: 0,
                filtering: 0,
                zero: [0; 2],
            });
            desired.pool.extend_from_slice(addrs);
        }
        desired
    }

    /// What packets find once a placement is written and pointed to.
    fn written(mut before: AtWork, placement: &Placement) -> AtWork {
        before.pool.resize(super::POOL_SLOTS as usize, [0; 4]);
        for (at, addr) in &placement.new_pool {
            before.pool[*at as usize] = *addr;
        }
        before.entries.extend(placement.new_entries.iter().copied());
        before
            .entries
            .retain(|(slot, _)| placement.entries.contains(slot));
        before.port_sets.extend(placement.new_port_sets.clone());
        before
            .port_sets
            .retain(|(slot, _)| placement.port_sets.contains(slot));
        before
    }

    #[test]
    fn what_is_the_same_stays_where_it_is_and_nothing_at_work_is_written_to() {
        let first = desired(&[&[A, B], &[B]], &[&[1024, 1025], &[2000]]);
        let placed = Placement::beside(&AtWork::default(), &first).unwrap();
        let at_work = written(AtWork::default(), &placed);

        let again = Placement::beside(&at_work, &first).unwrap();
        assert_eq!(again.entries, placed.entries);
        assert!(again.new_entries.is_empty() && again.new_pool.is_empty());
        assert!(again.new_port_sets.is_empty());

        // The first entry loses an address, and the second gets other ports.
        let second = desired(&[&[A], &[B]], &[&[1024, 1025], &[3000]]);
        let then = Placement::beside(&at_work, &second).unwrap();
        let used = |slot: &u32| placed.entries.contains(slot);
        assert!(then.new_entries.iter().all(|(slot, _)| !used(slot)));
        assert_eq!(then.new_entries.len(), 2);
        assert!(then.new_pool.iter().all(|(at, _)| *at >= 3));
        assert_eq!(then.port_sets[0], placed.port_sets[0]);
        assert!(!placed.port_sets.contains(&then.port_sets[1]));
        assert_eq!(then.bits(0b10), 1 << then.port_sets[1]);
    }

    #[test]
    fn two_full_configurations_fit_and_a_third_does_not() {
        let full = |from: u16| {
            let pools: Vec<[Addr; 4]> = (0..256_u16)
                .map(|entry| {
                    let at = (from + entry).to_be_bytes();
                    [0, 1, 2, 3].map(|last| [10, at[0], at[1], last])
                })
                .collect();
            let pools: Vec<&[Addr]> = pools.iter().map(<[Addr; 4]>::as_slice).collect();
            let ports = [from, from + 1, from + 2, from + 3].map(|port| [port]);
            let ports: Vec<&[u16]> = ports.iter().map(<[u16; 1]>::as_slice).collect();
            desired(&pools, &ports)
        };
        let first = Placement::beside(&AtWork::default(), &full(1000)).unwrap();
        let one = written(AtWork::default(), &first);
        let second = Placement::beside(&one, &full(2000)).unwrap();
        let mut both = written(AtWork::default(), &first);
        let two = written(one, &second);
        assert_eq!(two.entries.len(), 256);
        // A process was killed between two prefixes.
        both.pool = two.pool;
        both.entries.extend(two.entries);
        both.port_sets.extend(two.port_sets);
        assert!(Placement::beside(&both, &full(2000)).is_some());
        assert!(Placement::beside(&both, &full(3000)).is_none());
    }
}
