//! The clock by which the datapath says when something was: `CLOCK_MONOTONIC`.

use std::time::{Duration, SystemTime};

use nix::time::ClockId;

/// What turns the datapath's time into the wall clock's, as that is set now.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: SystemTime,
    monotonic: Duration,
}

impl Clock {
    /// Of now.
    ///
    /// # Panics
    /// If the kernel has no monotonic clock.
    #[must_use]
    pub fn now() -> Self {
        let monotonic = ClockId::CLOCK_MONOTONIC.now();
        Self {
            wall: SystemTime::now(),
            monotonic: monotonic.expect("every kernel has this clock").into(),
        }
    }

    /// Its moment.
    #[must_use]
    pub fn wall(self) -> SystemTime {
        self.wall
    }

    /// Its moment, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn monotonic(self) -> u64 {
        self.monotonic.as_nanos() as u64
    }

    /// When that was, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn at(self, monotonic: u64) -> SystemTime {
        let then = Duration::from_nanos(monotonic);
        // What is told may be younger than this.
        self.wall + then.saturating_sub(self.monotonic) - self.monotonic.saturating_sub(then)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Duration, SystemTime};

    #[test]
    fn a_record_is_as_old_on_the_wall_as_on_the_monotonic_clock() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let clock = Clock {
            wall,
            monotonic: Duration::from_secs(60),
        };
        assert_eq!(clock.at(59_000_000_000), wall - Duration::from_secs(1));
        assert_eq!(clock.at(60_000_001_000), wall + Duration::from_micros(1));
    }
}
