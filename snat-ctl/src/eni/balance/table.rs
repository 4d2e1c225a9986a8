//! The shares in the maps.

use std::path::Path;

use snat_common::balance::{Balance, MAX_SLOTS, Slot};

use super::{BalanceError, programs};
use crate::{
    datapath::{Map, MapError, bytes, value},
    netns,
};

/// The table for these slots, for the calling thread's network namespace.
pub(super) fn wanted(mask: u32, slots: &[Slot]) -> Result<Balance, BalanceError> {
    let cookie = netns::cookie().map_err(|source| BalanceError::Read {
        what: "socket option SO_NETNS_COOKIE".to_owned(),
        source,
    })?;
    let mut table = Balance {
        cookie,
        object: programs::digest(),
        mask,
        ..Balance::default()
    };
    if slots.len() > MAX_SLOTS {
        let many = slots.len();
        return refused(format!("there are {many}; at most {MAX_SLOTS} can"));
    }
    for (index, slot) in slots.iter().enumerate() {
        let Slot { mark, weight } = *slot;
        if !table.is_ours(mark) {
            return refused(format!("mark {mark:#x} is not of the mask {mask:#x}"));
        }
        if slots[..index].iter().any(|other| other.mark == mark) {
            return refused(format!("two have mark {mark:#x}"));
        }
        let Some(total) = table.total.checked_add(weight) else {
            return refused(format!("their weights' sum is above {}", u32::MAX));
        };
        table.total = total;
        table.slots[index] = *slot;
    }
    Ok(table)
}

fn refused<T>(reason: String) -> Result<T, BalanceError> {
    Err(BalanceError::Slots(reason))
}

/// The table in force.
pub(super) fn read(pins: &Path) -> Result<Balance, MapError> {
    let table = Map::open(pins, "BALANCE")?.get(&current(pins)?.to_ne_bytes())?;
    Ok(table.map_or(Balance::default(), |bytes| value(&bytes)))
}

/// Puts a table in force. It is written whole where no program reads, and then pointed to.
pub(super) fn write(pins: &Path, table: &Balance) -> Result<(), MapError> {
    let present = read(pins)?;
    if present == *table {
        return Ok(());
    }
    count(pins, &[&present, table])?;
    let next = 1 - current(pins)?;
    Map::open(pins, "BALANCE")?.set(&next.to_ne_bytes(), bytes(table))?;
    Map::open(pins, "CURRENT")?.set(bytes(&0_u32), bytes(&next))
}

/// The slots in force, with how often each was chosen.
pub(super) fn chosen(pins: &Path) -> Result<Vec<(Slot, u64)>, MapError> {
    let counters = Map::open(pins, "CHOSEN")?;
    let table = read(pins)?;
    let slots = table.slots.iter().filter(|slot| slot.mark != 0);
    slots
        .map(|slot| {
            let count = counters.get(bytes(&slot.mark))?;
            Ok((*slot, count.map_or(0, |bytes| value(&bytes))))
        })
        .collect()
}

/// Has a counter for each mark of these tables, and no other.
fn count(pins: &Path, tables: &[&Balance]) -> Result<(), MapError> {
    let counters = Map::open(pins, "CHOSEN")?;
    let marks: Vec<u32> = tables
        .iter()
        .flat_map(|table| table.slots)
        .map(|slot| slot.mark)
        .filter(|mark| *mark != 0)
        .collect();
    for key in counters.keys()? {
        if !marks.contains(&value(&key)) {
            counters.remove(&key)?;
        }
    }
    for mark in &marks {
        if counters.get(bytes(mark))?.is_none() {
            counters.set(bytes(mark), bytes(&0_u64))?;
        }
    }
    Ok(())
}

fn current(pins: &Path) -> Result<u32, MapError> {
    let current = Map::open(pins, "CURRENT")?.get(bytes(&0_u32))?;
    Ok(current.map_or(0, |bytes| value::<u32>(&bytes) & 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(mask: u32, slots: &[Slot]) -> String {
        wanted(mask, slots).unwrap_err().to_string()
    }

    fn slot(mark: u32, weight: u32) -> Slot {
        Slot { mark, weight }
    }

    #[test]
    fn slots_that_make_no_sense_are_refused() {
        assert!(refusal(0xff00, &[slot(0x1_0000, 1)]).contains("mark 0x10000 is not of the mask"));
        assert!(refusal(0xff00, &[slot(0x101, 1)]).contains("mark 0x101 is not of the mask"));
        assert!(refusal(0xff00, &[slot(0, 1)]).contains("mark 0x0 is not of the mask"));
        let twice = [slot(0x100, 1), slot(0x100, 2)];
        assert!(refusal(0xff00, &twice).contains("two have mark 0x100"));
        let heavy = [slot(0x100, u32::MAX), slot(0x200, 1)];
        assert!(refusal(0xff00, &heavy).contains("sum is above"));
        let many: Vec<_> = (1..=17).map(|mark| slot(mark << 8, 1)).collect();
        assert!(refusal(0xff00, &many).contains("there are 17; at most 16"));
    }

    #[test]
    fn a_table_has_its_slots_and_their_sum() {
        let table = wanted(0xff00, &[slot(0x100, 3), slot(0x200, 0)]).unwrap();
        assert_eq!((table.total, table.mask), (3, 0xff00));
        assert_eq!(table.slots[..2], [slot(0x100, 3), slot(0x200, 0)]);
        assert_ne!(table.cookie, 0);
    }
}
