//! When ports run out, if it goes on as it does now.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Destination, Pins, Pool, destinations::Counts, map::MapError, pools::pools};

/// Pools and the fullest destinations, and where they are going.
#[derive(Clone, Debug, Serialize)]
pub struct Outlook {
    /// By address and protocol.
    pub pools: Vec<Growing<Pool>>,
    /// The fullest first.
    pub destinations: Vec<Growing<Destination>>,
}

/// Something that fills, or empties.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growing<T> {
    /// What.
    #[serde(flatten)]
    pub what: T,
    /// Ports more in a second; negative if fewer.
    pub growth_per_second: f64,
    /// Seconds until none is free: 0 if that is so, none if it does not grow.
    pub exhausted_in_seconds: Option<f64>,
}

/// Counts twice, `interval` apart, and lists the `limit` fullest destinations.
///
/// # Errors
///
/// [`MapError`].
pub fn outlook(pins: &Pins, interval: Duration, limit: usize) -> Result<Outlook, MapError> {
    let before = PortsTaken::count(pins)?;
    thread::sleep(interval);
    PortsTaken::count(pins)?.since(&before, pins, limit)
}

/// All ports that are taken at a time; some 20 bytes of memory for each destination there is.
pub struct PortsTaken {
    at: Instant,
    pools: Vec<Pool>,
    counts: Counts,
}

impl PortsTaken {
    /// Counts them now: a walk over the mappings, and one over the flows.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn count(pins: &Pins) -> Result<Self, MapError> {
        Ok(Self {
            at: Instant::now(),
            pools: pools(pins)?,
            counts: Counts::read(pins)?,
        })
    }

    /// What has become of those of before, with the `limit` fullest destinations.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn since(&self, before: &Self, pins: &Pins, limit: usize) -> Result<Outlook, MapError> {
        let seconds = (self.at - before.at).as_secs_f64().max(0.001);
        let pools = self.pools.iter().map(|pool| {
            let old = before
                .pools
                .iter()
                .find(|old| (old.external, old.protocol) == (pool.external, pool.protocol));
            let old = old.map_or(0, |old| old.used + old.resting);
            let now = pool.used + pool.resting;
            Growing::new(old, now, pool.free, seconds, pool.clone())
        });
        let fullest = self.counts.fullest(pins, limit)?;
        let destinations = fullest.into_iter().map(|found| {
            let old = before.counts.of(&found);
            Growing::new(old, found.used, found.free, seconds, found)
        });
        Ok(Outlook {
            pools: pools.collect(),
            destinations: destinations.collect(),
        })
    }
}

impl<T> Growing<T> {
    fn new(before: u64, now: u64, free: u64, seconds: f64, what: T) -> Self {
        let growth = (now as f64 - before as f64) / seconds;
        Self {
            what,
            growth_per_second: growth,
            exhausted_in_seconds: match free {
                0 => Some(0.0),
                _ if growth > 0.0 => Some(free as f64 / growth),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Growing;

    #[test]
    fn what_grows_is_exhausted_when_what_is_free_is_gone_and_what_does_not_never_is() {
        for (before, now, free, growth, end) in [
            (100, 120, 1000, 10.0, Some(100.0)),
            (100, 100, 1000, 0.0, None),
            (120, 100, 1000, -10.0, None),
            (100, 100, 0, 0.0, Some(0.0)),
            (120, 100, 0, -10.0, Some(0.0)),
        ] {
            let growing = Growing::new(before, now, free, 2.0, ());
            assert_eq!(growing.growth_per_second, growth);
            assert_eq!(growing.exhausted_in_seconds, end);
        }
    }
}
