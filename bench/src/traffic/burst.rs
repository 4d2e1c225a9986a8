//! Flows' packets sent once, and how fast they came through. For a stage on one CPU, where no packet is lost: so each
//! of them can be accounted for.
//!
//! A call of the generator takes some 25 ms to begin and to end, for its pages. So the rate is not taken from the
//! call, but from the sink's counter: another CPU looks at it all along, and keeps when it first and last moved.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{BATCH, Counts, Flows, Port, Traffic, generate, program_of};
use crate::sys;

/// How often the counter is looked at.
const LOOK: Duration = Duration::from_micros(50);
/// Nothing more comes after that.
const QUIET: Duration = Duration::from_millis(100);
/// Nothing comes at all after that, also where others want the CPU.
const DEAF: Duration = Duration::from_secs(10);

/// What came of a burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    /// Packets sent.
    pub(crate) sent: u64,
    /// Packets that arrived.
    pub(crate) arrived: u64,
    moved: Moved,
}

/// When a counter was first and last seen to move, and what it said then.
#[derive(Clone, Copy, Debug)]
struct Moved {
    first: (Duration, u64),
    last: (Duration, u64),
}

impl Traffic {
    /// Sends each flow's packet once, and watches how they arrive.
    pub(crate) fn burst(&mut self, from: &Port<'_>, flows: &Flows) -> Result<Burst> {
        let frame = self.write(from, flows)?;
        let Self { ebpf, counts, .. } = self;
        let program = program_of(ebpf, "generate")?;
        let left = flows.left();
        sys::during(
            |begins| {
                from.netns.enter(|| {
                    begins();
                    generate(program, from.ifindex, &frame, left, BATCH).map(drop)
                })
            },
            || watch(counts, u64::from(left)),
        )
    }

    /// Sends each flow's packet once: how many arrived, and how long each took on the packets' CPU from the generator
    /// to the sink, as the kernel says.
    pub(crate) fn each(&mut self, from: &Port<'_>, flows: &Flows) -> Result<(u64, Duration)> {
        let frame = self.write(from, flows)?;
        let program = program_of(&mut self.ebpf, "generate")?;
        let before = self.counts.read()?.1;
        let each = from
            .netns
            .enter(|| generate(program, from.ifindex, &frame, flows.left(), BATCH))?;
        Ok((self.counts.read()?.1 - before, each))
    }
}

impl Burst {
    /// Packets per second that arrived.
    pub(crate) fn rate(&self) -> f64 {
        self.moved.rate()
    }
}

impl Moved {
    fn since(seen: u64) -> Self {
        Self {
            first: (Duration::ZERO, seen),
            last: (Duration::ZERO, seen),
        }
    }

    /// The counter says `seen` at this time.
    fn look(&mut self, at: Duration, seen: u64) {
        if seen == self.last.1 {
            return;
        }
        if self.last.0.is_zero() {
            self.first = (at, seen);
        }
        self.last = (at, seen);
    }

    /// Per second, between the two; 0 where it moved once at most.
    fn rate(&self) -> f64 {
        let took = self.last.0.saturating_sub(self.first.0);
        if took.is_zero() {
            return 0.0;
        }
        (self.last.1 - self.first.1) as f64 / took.as_secs_f64()
    }
}

/// Until as many have arrived as are to be sent, or no more come.
fn watch(counts: &Counts, sent: u64) -> Result<Burst> {
    let begin = Instant::now();
    let (made_before, seen_before) = counts.read()?;
    let mut moved = Moved::since(seen_before);
    loop {
        let (made, seen) = counts.read()?;
        let now = begin.elapsed();
        moved.look(now, seen);
        let burst = Burst {
            sent: made - made_before,
            arrived: seen - seen_before,
            moved,
        };
        let quiet = now.saturating_sub(moved.last.0);
        let over = burst.sent == sent && quiet > QUIET;
        if burst.arrived == sent || over || quiet > DEAF {
            return Ok(burst);
        }
        sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Moved;

    #[test]
    fn the_rate_is_that_between_first_and_last() {
        let mut moved = Moved::since(1000);
        for (ms, seen) in [(20, 1000), (25, 1064), (26, 2064), (27, 3064), (90, 3064)] {
            moved.look(Duration::from_millis(ms), seen);
        }
        assert!((moved.rate() - 1_000_000.0).abs() < 1.0, "{moved:?}");
    }

    #[test]
    fn what_never_moved_has_no_rate() {
        let mut moved = Moved::since(7);
        moved.look(Duration::from_millis(5), 7);
        assert_eq!(moved.rate(), 0.0);
    }
}
