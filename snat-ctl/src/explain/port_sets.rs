//! The ports that may be handed out, read when they are asked for.

use std::{
    cell::OnceCell,
    mem::{offset_of, size_of},
    path::Path,
};

use snat_common::{
    PortSet,
    settings::{PORT_SET_SLOTS, PORT_WORDS},
};

use crate::datapath::{Map, MapError, value};

/// The elements of map `PORT_SETS`, as bytes: each is 136 KiB.
pub(super) struct PortSets {
    map: Map,
    sets: [OnceCell<Vec<u8>>; PORT_SET_SLOTS as usize],
}

impl PortSets {
    /// Opens the map in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, MapError> {
        let map = Map::open(dir, "PORT_SETS")?;
        map.expect_values(size_of::<PortSet>())?;
        Ok(Self {
            map,
            sets: Default::default(),
        })
    }

    /// How many ports a set has, and how many of those are below 1024.
    pub(super) fn counts(&self, set: u32) -> Result<Option<(u32, u32)>, MapError> {
        let set = self.set(set)?;
        Ok(set.map(|set| {
            (
                field(set, offset_of!(PortSet, len)),
                field(set, offset_of!(PortSet, low)),
            )
        }))
    }

    /// Which of 64 ports are in it.
    pub(super) fn allowed(&self, set: u32, word: u32) -> Result<Option<u64>, MapError> {
        let word = (word & (PORT_WORDS - 1)) as usize;
        let at = offset_of!(PortSet, allowed) + word * size_of::<u64>();
        let set = self.set(set)?;
        Ok(set.map(|set| value(&set[at..at + size_of::<u64>()])))
    }

    /// A port of it, by its place in the list.
    pub(super) fn port(&self, set: u32, index: u32) -> Result<Option<u16>, MapError> {
        let at = offset_of!(PortSet, ports) + (index & 0xffff) as usize * size_of::<u16>();
        let set = self.set(set)?;
        Ok(set.map(|set| u16::from_ne_bytes([set[at], set[at + 1]])))
    }

    fn set(&self, index: u32) -> Result<Option<&[u8]>, MapError> {
        let Some(cell) = self.sets.get(index as usize) else {
            return Ok(None);
        };
        if cell.get().is_none() {
            let bytes = self.map.get(&index.to_ne_bytes())?;
            // Nobody else has filled it: it is one thread's.
            let _ = cell.set(bytes.unwrap_or_default());
        }
        Ok(cell.get().map(Vec::as_slice).filter(|set| !set.is_empty()))
    }
}

fn field(set: &[u8], at: usize) -> u32 {
    value(&set[at..at + size_of::<u32>()])
}
