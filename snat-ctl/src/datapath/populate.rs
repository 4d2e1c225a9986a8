//! Brings the maps to what the configuration and the host want.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
};

use snat_common::{Prefix, Settings, settings::ABI_VERSION};

use super::{
    Desired, Host, Pins, forwards,
    interfaces::refresh_interfaces,
    map::{Map, MapError, bytes, value},
    placement::Placement,
};

/// Why the maps could not be brought to it.
#[derive(Debug, thiserror::Error)]
pub enum PopulateError {
    /// A map refused.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Two large configurations are at work in part, and this one is another.
    #[error(
        "a change of the configuration was interrupted, and there is no room for a third one beside the two; apply one of those first, then this one"
    )]
    NoRoom,
}

/// Writes everything, and returns the index in `ENTRIES` of each entry. Flows stay as they are.
///
/// A packet under way finds the old configuration or the new one, never an entry of one with addresses or ports of the other:
/// what is found by number is written beside what is there ([`super::placement`]); sets are the union of both while packets may
/// find either; and what decides, the prefix that leads to an entry, is switched in one step.
///
/// # Errors
///
/// [`PopulateError`]; calling again goes on.
pub fn populate(pins: &Pins, desired: &Desired, host: &Host) -> Result<Vec<u32>, PopulateError> {
    let open = |name| Map::open(pins.dir(), name);
    let placement = Placement::find(pins, desired)?;
    let forget = placement.write(pins)?;
    if forget {
        // What searches have learned was of the ports that were there before.
        forget_busy(pins)?;
    }
    let externals: Elements = desired
        .externals
        .iter()
        .map(|(addr, sets)| {
            let bits = placement.bits(*sets);
            (addr.to_vec(), bits.to_ne_bytes().to_vec())
        })
        .collect();
    let (external, bypassed) = (open("EXTERNALS")?, open("BYPASS")?);
    widen(&external, &externals)?;
    let bypass = desired.bypass.iter();
    let bypass: Elements = bypass
        .map(|prefix| (bytes(prefix).to_vec(), 0_u32.to_ne_bytes().to_vec()))
        .collect();
    bypassed.add(&bypass)?;
    refresh_interfaces(pins, &host.interfaces)?;
    forwards::reconcile(pins, &desired.forwards)?;
    write_settings(pins, desired)?;
    switch(&open("SOURCES")?, desired, &placement)?;
    external.add(&externals)?;
    external.remove_others(&externals)?;
    bypassed.remove_others(&bypass)?;
    if forget {
        // And packets that were under way may have learned more of the old ones.
        forget_busy(pins)?;
    }
    Ok(placement.entries)
}

/// Elements of a map.
pub(super) type Elements = BTreeMap<Vec<u8>, Vec<u8>>;

/// External addresses: the new ones, and the ports of old and new ones together.
fn widen(map: &Map, wanted: &Elements) -> Result<(), MapError> {
    let mut both = Elements::new();
    for (addr, sets) in wanted {
        let old = map.get(addr)?.map_or(0, |sets| value::<u32>(&sets));
        let sets = old | value::<u32>(sets);
        both.insert(addr.clone(), sets.to_ne_bytes().to_vec());
    }
    map.add(&both)
}

/// Points clients' prefixes to their entries. The longest come first, and of those that go the shortest: so a client is led to
/// its old entry or its new one, and never to that of a wider prefix in between.
fn switch(map: &Map, desired: &Desired, placement: &Placement) -> Result<(), MapError> {
    let mut sources: Vec<(&Prefix, u32)> = desired
        .sources
        .iter()
        .map(|(prefix, entry)| (prefix, placement.entries[*entry as usize]))
        .collect();
    sources.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len));
    let mut wanted = BTreeSet::new();
    for (prefix, entry) in sources {
        let (key, entry) = (bytes(prefix), entry.to_ne_bytes());
        if map.get(key)?.as_deref() != Some(&entry) {
            map.set(key, &entry)?;
        }
        wanted.insert(key.to_vec());
    }
    let mut stale = map.keys()?;
    stale.retain(|key| !wanted.contains(key));
    stale.sort_by_key(|key| value::<Prefix>(key).len);
    stale.iter().try_for_each(|key| map.remove(key))
}

fn forget_busy(pins: &Pins) -> Result<(), MapError> {
    let busy = Map::open(pins.dir(), "BUSY")?;
    busy.keys()?.iter().try_for_each(|key| busy.remove(key))
}

fn write_settings(pins: &Pins, desired: &Desired) -> Result<(), MapError> {
    update_settings(pins, |settings| {
        // The instance's own.
        let Settings {
            abi,
            generation,
            secret,
            transfer,
            ..
        } = *settings;
        *settings = Settings {
            abi,
            generation,
            secret,
            transfer,
            ..desired.settings
        };
    })
}

pub(super) fn update_settings(
    pins: &Pins,
    change: impl FnOnce(&mut Settings),
) -> Result<(), MapError> {
    let map = Map::open(pins.dir(), "SETTINGS")?;
    let mut settings: Settings = map
        .get(&index_key(0))?
        .map_or_else(Settings::unset, |bytes| value(&bytes));
    settings.abi = ABI_VERSION;
    if settings.secret == [0, 0] {
        settings.secret = secret();
    }
    change(&mut settings);
    map.set(&index_key(0), bytes(&settings))
}

/// Sixteen bytes nobody can guess; made once per instance, so that ports stay as they were.
fn secret() -> [u64; 2] {
    let mut words = [[0; 8]; 2];
    let random = std::fs::File::open("/dev/urandom").and_then(|mut file| {
        file.read_exact(&mut words[0])?;
        file.read_exact(&mut words[1])
    });
    match random {
        Ok(()) => words.map(u64::from_ne_bytes),
        // Port choice only: better a guessable one than no gateway.
        Err(_) => [u64::from(std::process::id()), 1],
    }
}

pub(super) fn index_key(index: usize) -> [u8; 4] {
    (index as u32).to_ne_bytes()
}
