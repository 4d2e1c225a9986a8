//! Ageing: finds what looks as if nobody needed it any more, and has the kernel remove what nobody does.
//!
//! Flows that have expired, mappings and permissions that have rested, clients without a flow. Whether one
//! may go is decided in the kernel ([`snat_common::life::bury`] and the like), where it can't race with
//! traffic; here is only the looking, in batches that hold no lock for long.

use std::{collections::BTreeMap, time::Duration};

use aya::programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions};
use snat_common::{
    Addr, Client, Held, Mapping, MappingKey, MappingKind, Settings, State,
    clock::age,
    life::{GRACE, farewell},
    settings::TICK_SHIFT,
    sweep::{FILTERING_AT, FLAGS_AT, KEYS_AT, Kind, LOOKED_AT, MAX_KEYS},
};

use super::{
    Census, Pins,
    census::Group,
    map::{Map, MapError, value},
    raw::{RawEntry, RawKey},
};

/// How long a client without flows stays counted: 10 s, in ticks. It may well be back.
const CLIENT_REST: u32 = (10_000_000_000_u64 >> TICK_SHIFT) as u32;

/// Why a sweep failed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A map could not be read.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The program could not be opened or run.
    #[error("cannot run the sweep program: {0}")]
    Program(#[from] ProgramError),
}

/// The datapath's clock now, in its ticks.
///
/// # Panics
/// If the kernel has no monotonic clock.
#[must_use]
pub fn now() -> u32 {
    let clock = nix::time::ClockId::CLOCK_MONOTONIC_COARSE;
    let now: Duration = clock.now().expect("every kernel has this clock").into();
    (now.as_nanos() >> TICK_SHIFT) as u32
}

/// The sweeper of one instance.
pub struct Sweeper {
    flows: Map,
    mappings: Map,
    clients: Map,
    settings: Map,
    program: SchedClassifier,
}

impl Sweeper {
    /// Opens what is pinned.
    ///
    /// # Errors
    ///
    /// [`SweepError`] where it is not there.
    pub fn open(pins: &Pins) -> Result<Self, SweepError> {
        Ok(Self {
            flows: Map::open(pins.dir(), "FLOWS")?,
            mappings: Map::open(pins.dir(), "MAPPINGS")?,
            clients: Map::open(pins.dir(), "CLIENTS")?,
            settings: Map::open(pins.dir(), "SETTINGS")?,
            program: SchedClassifier::from_pin(pins.sweep_program())?,
        })
    }

    /// Removes what nobody needs any more, and counts what stays.
    ///
    /// # Errors
    ///
    /// [`SweepError`]; what was removed before stays removed.
    pub fn sweep(&self) -> Result<Census, SweepError> {
        let mut census = Census::default();
        let Some(settings) = self.settings.get(&0_u32.to_ne_bytes())? else {
            return Ok(census);
        };
        let settings: Settings = value(&settings);
        // Flows first: they hold mappings, and count as their client's.
        for (group, flows) in self.expired(&settings, &mut census)? {
            let removed = self.remove(Kind::Expired, RawKey::LEN, &flows, 0)?;
            census.flows_gone(group, removed);
        }
        let [mappings, permissions] = self.rested(settings.port_rest, &mut census)?;
        let removed = self.remove(Kind::Mappings, size_of::<MappingKey>(), &mappings, 0)?;
        census.inner_gone(removed);
        self.remove(Kind::Mappings, size_of::<MappingKey>(), &permissions, 0)?;
        let clients = self.absent()?;
        self.remove(Kind::Clients, size_of::<Addr>(), &clients, 0)?;
        Ok(census)
    }

    /// `In` keys of flows that look as if they had been idle for too long. The other direction may have been used
    /// since: the kernel looks at both, so until it has, all of them count.
    fn expired(
        &self,
        settings: &Settings,
        census: &mut Census,
    ) -> Result<BTreeMap<Group, Vec<u8>>, MapError> {
        let now = now();
        let mut keys: BTreeMap<Group, Vec<u8>> = BTreeMap::new();
        self.flows.for_each(|key, bytes| {
            let (Some(key), Some(entry)) = (RawKey::of(key), RawEntry::of(bytes)) else {
                return;
            };
            let Some(group) = census.flow(&key.bytes(), bytes) else {
                return;
            };
            let timeout = if entry.state() == State::Ended as u8 {
                Some(farewell(settings))
            } else {
                settings.timeouts.get(entry.state() as usize).copied()
            };
            if timeout.is_some_and(|timeout| is_past(now, entry.last_seen(), timeout + GRACE)) {
                keys.entry(group).or_default().extend(key.bytes());
            }
        })?;
        Ok(keys)
    }

    /// Keys of mappings and permissions that no flow has needed for `rest` ticks.
    fn rested(&self, rest: u32, census: &mut Census) -> Result<[Vec<u8>; 2], MapError> {
        const KIND_AT: usize = std::mem::offset_of!(MappingKey, kind);
        const PERMISSION: u8 = MappingKind::Permission as u8;
        let now = now();
        let [mut mappings, mut permissions] = [Vec::new(), Vec::new()];
        self.mappings.for_each(|key, mapping| {
            let mapping: Mapping = value(mapping);
            // An inner element goes with its outer one.
            if mapping.is_static != 0
                || key[KIND_AT] == MappingKind::Inner as u8
                || !is_idle(mapping.held, now, rest)
            {
                census.mapping(key, &mapping);
            } else if key[KIND_AT] == PERMISSION {
                permissions.extend(key);
            } else {
                mappings.extend(key);
            }
        })?;
        Ok([mappings, permissions])
    }

    /// Clients that have had no flow for a while.
    fn absent(&self) -> Result<Vec<u8>, MapError> {
        let now = now();
        let mut keys = Vec::new();
        self.clients.for_each(|addr, client| {
            if is_idle(value::<Client>(client).held, now, CLIENT_REST) {
                keys.extend(addr);
            }
        })?;
        Ok(keys)
    }

    /// Hands keys that were found from tick `looked` on to the kernel; returns how many elements are gone, or changed.
    pub(super) fn remove(
        &self,
        kind: Kind,
        len: usize,
        keys: &[u8],
        looked: u32,
    ) -> Result<u32, SweepError> {
        self.run(kind, 0, len, keys, looked)
    }

    /// As [`Self::remove`], for mappings that are to let in others: `filtering` is the number of a
    /// [`snat_common::settings::Filtering`].
    pub(super) fn refilter(&self, filtering: u8, keys: &[u8]) -> Result<u32, SweepError> {
        self.run(Kind::Refilter, filtering, size_of::<MappingKey>(), keys, 0)
    }

    fn run(
        &self,
        kind: Kind,
        filtering: u8,
        len: usize,
        keys: &[u8],
        looked: u32,
    ) -> Result<u32, SweepError> {
        let mut removed = 0;
        for portion in keys.chunks(MAX_KEYS as usize * len) {
            let mut frame = vec![0; KEYS_AT as usize];
            frame[FLAGS_AT as usize] = kind as u8;
            frame[FILTERING_AT as usize] = filtering;
            frame[LOOKED_AT as usize..KEYS_AT as usize].copy_from_slice(&looked.to_ne_bytes());
            frame.extend(portion);
            let mut options = TestRunOptions::new();
            options.data_in = Some(&frame);
            removed += self.program.test_run(options)?.return_value;
        }
        Ok(removed)
    }
}

/// Whether nobody has held an element for longer than `rest` ticks, by its [`Held`] word.
fn is_idle(held: u64, now: u32, rest: u32) -> bool {
    Held::holders(held) == 0 && is_past(now, (held >> 32) as u32, rest)
}

/// Whether `then` is longer ago than `ticks`. What another CPU's clock puts into the future is no age.
fn is_past(now: u32, then: u32, ticks: u32) -> bool {
    age(now, then) > ticks
}

#[cfg(test)]
mod tests {
    use super::{Held, is_idle, is_past};

    #[test]
    fn only_what_is_longer_ago_is_past_and_the_future_never_is() {
        for (now, then, past) in [
            (110, 100, false),
            (111, 100, true),
            (99, 100, false),
            // The clock turns over.
            (5, u32::MAX - 5, true),
            (4, u32::MAX - 5, false),
        ] {
            assert_eq!(is_past(now, then, 10), past, "{now} {then}");
        }
    }

    #[test]
    fn what_somebody_holds_is_not_idle_however_old() {
        assert!(is_idle(Held::by(0, 100), 111, 10));
        assert!(!is_idle(Held::by(1, 100), 111, 10));
        assert!(!is_idle(Held::by(0, 100), 110, 10));
    }
}
