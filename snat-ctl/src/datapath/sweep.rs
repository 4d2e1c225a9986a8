//! Ageing: finds flows that look expired, and has the kernel bury those that are.
//!
//! Whether a flow may go is decided in the kernel ([`snat_common::life::bury`]), where it can't race
//! with traffic; here is only the looking, in batches that hold no lock for long.

use std::time::Duration;

use aya::programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions};
use snat_common::{
    Direction, Settings,
    flow::TIMED_STATES,
    life::GRACE,
    settings::TICK_SHIFT,
    sweep::{FLAGS_AT, KEYS_AT, MAX_KEYS},
};

use super::{
    Pins,
    map::{Map, MapError, value},
    view::{RawEntry, RawKey},
};

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
            settings: Map::open(pins.dir(), "SETTINGS")?,
            program: SchedClassifier::from_pin(pins.sweep_program())?,
        })
    }

    /// Removes the flows that have been idle for too long; returns how many.
    ///
    /// # Errors
    ///
    /// [`SweepError`]; what was removed before stays removed.
    pub fn sweep(&self) -> Result<u32, SweepError> {
        let settings = self.settings.get(&0_u32.to_ne_bytes())?;
        let timeouts = settings.map_or([0; TIMED_STATES], |bytes| {
            value::<Settings>(&bytes).timeouts
        });
        let now = now();
        let mut candidates: Vec<u8> = Vec::new();
        self.flows.for_each(|key, entry| {
            let (Some(key), Some(entry)) = (RawKey::of(key), RawEntry::of(entry)) else {
                return;
            };
            let timeout = timeouts.get(entry.state() as usize);
            let idle = now.wrapping_sub(entry.last_seen());
            // The other direction may have been used since: the kernel looks at both.
            if entry.direction() == Direction::In as u8
                && timeout.is_some_and(|timeout| idle > timeout + GRACE && idle < u32::MAX / 2)
            {
                candidates.extend(key.bytes());
            }
        })?;
        self.bury(&candidates, false)
    }

    /// Hands keys to the kernel in portions; returns how many flows are gone.
    fn bury(&self, keys: &[u8], force: bool) -> Result<u32, SweepError> {
        const PORTION: usize = MAX_KEYS as usize * RawKey::LEN;
        let mut buried = 0;
        for portion in keys.chunks(PORTION) {
            let mut frame = vec![0; KEYS_AT as usize];
            frame[FLAGS_AT as usize] = u8::from(force);
            frame.extend(portion);
            let mut options = TestRunOptions::new();
            options.data_in = Some(&frame);
            buried += self.program.test_run(options)?.return_value;
        }
        Ok(buried)
    }
}
