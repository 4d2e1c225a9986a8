//! What the generator has made, and what has arrived.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use aya::{
    Pod,
    maps::{MapData, PerCpuArray},
};
use snat_common::load::{
    Load, Seen, Turn, Way,
    pace::{BUCKETS, Pace},
};

/// What came of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Packets sent.
    pub(crate) sent: u64,
    /// Packets that arrived.
    pub(crate) arrived: u64,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Run {
    /// Packets per second that arrived.
    pub(crate) fn rate(&self) -> f64 {
        self.arrived as f64 / self.took.as_secs_f64()
    }

    /// The part of what was sent that did not arrive.
    pub(crate) fn lost(&self) -> f64 {
        1.0 - self.arrived as f64 / self.sent.max(1) as f64
    }
}

/// What the generator has made and the sink has seen.
pub(crate) struct Counts {
    /// Where the generator is.
    pub(crate) turn: PerCpuArray<MapData, Plain<Turn>>,
    /// What the sink has seen.
    pub(crate) seen: PerCpuArray<MapData, Plain<Seen>>,
    /// How many packets took how long.
    pub(crate) times: PerCpuArray<MapData, u64>,
}

/// An element of a map as it lies in memory.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub(crate) struct Plain<T>(pub(crate) T);

// SAFETY: integers and arrays of them without padding.
unsafe impl Pod for Plain<Load> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Turn> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Seen> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Pace> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Way> {}

impl Counts {
    /// What is sent and arrives while `body` runs.
    pub(crate) fn over(&self, body: impl FnOnce() -> Result<()>) -> Result<Run> {
        let (before, begin) = (self.read()?, Instant::now());
        body()?;
        since(before, self.read()?, begin)
    }

    /// Fails until a packet of this load was made.
    pub(crate) fn has_begun(&self) -> Result<()> {
        ensure!(self.read()?.0 > 0, "no packet yet");
        Ok(())
    }

    /// How many packets took how long, since the beginning of time: by buckets.
    pub(crate) fn times(&self) -> Result<Vec<u64>> {
        (0..BUCKETS)
            .map(|bucket| Ok(self.times.get(&bucket, 0)?.iter().sum()))
            .collect()
    }

    /// Packets made, and packets seen.
    pub(crate) fn read(&self) -> Result<(u64, u64)> {
        let made = self.turn.get(&0, 0)?.iter().map(|turn| turn.0.made).sum();
        let seen = self
            .seen
            .get(&0, 0)?
            .iter()
            .map(|seen| seen.0.packets)
            .sum();
        Ok((made, seen))
    }
}

fn since(before: (u64, u64), after: (u64, u64), begin: Instant) -> Result<Run> {
    Ok(Run {
        took: begin.elapsed(),
        sent: after.0 - before.0,
        arrived: after.1 - before.1,
    })
}
