//! What a measurement works with: the traffic, where its numbers go, and how thorough it is to be.

use std::time::Duration;

use crate::{results::Results, traffic::Traffic};

/// How thorough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How often everything is measured, in turn.
    pub(crate) rounds: u32,
    /// Only to see that all of it works: short, and its numbers mean little.
    pub(crate) quick: bool,
    /// Flows that the kernel's connection tracking is large enough for.
    pub(crate) tracked: u32,
}

/// What every measurement is handed, round by round.
pub(crate) struct Bench {
    /// Generator, sink and limits.
    pub(crate) traffic: Traffic,
    /// What was measured so far.
    pub(crate) results: Results,
    /// How thorough.
    pub(crate) options: Options,
    /// This round, from 0.
    pub(crate) round: u32,
}

impl Bench {
    /// How long a rate is measured.
    pub(crate) fn lasting(&self) -> Duration {
        Duration::from_millis(if self.options.quick { 100 } else { 400 })
    }

    /// The same things, beginning with another one each round: whatever drifts over a round hits all alike.
    pub(crate) fn in_turn<T: Clone>(&self, all: &[T]) -> Vec<T> {
        let mut turned = all.to_vec();
        let by = self.round as usize % all.len().max(1);
        turned.rotate_left(by);
        turned
    }
}
