//! What a measurement works with: the traffic, where its numbers go, and how thorough it is to be.

use std::time::Duration;

use anyhow::Result;

use crate::{
    contender::{Contender, Running},
    quiet::{DISTURBED, Quiet, Watched},
    results::Results,
    stage::Stage,
    traffic::Traffic,
};

const BUSY_MACHINE: &str =
    "The machine was not idle: others had time of the CPUs, so rates are too low.";

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
    /// Who is not to be had on this machine.
    pub(crate) absent: Vec<Contender>,
    /// What may yet be waited for others to be done.
    pub(crate) quiet: Quiet,
    /// How often something could not be measured.
    pub(crate) failures: u32,
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

    /// Measures while nobody else is at work; if that cannot be helped, a note says so. For what spends next to no time
    /// in user space.
    pub(crate) fn undisturbed<T>(
        &mut self,
        mut measure: impl FnMut(&mut Traffic) -> Result<T>,
    ) -> Result<T> {
        if self.options.quick {
            return measure(&mut self.traffic);
        }
        let Watched { value, others } = self.quiet.watched(|| measure(&mut self.traffic))?;
        if others >= DISTURBED {
            self.results.note(BUSY_MACHINE.to_owned());
        }
        Ok(value)
    }

    /// What could not be measured is noted and counted, and the rest has its turn.
    pub(crate) fn note_failure(&mut self, measured: Result<()>) {
        if let Err(error) = measured {
            self.failures += 1;
            self.results.note(format!("Not measured: {error:#}."));
        }
    }

    /// Puts a contender to work; `None`, and a note, if this kernel does not have it.
    pub(crate) fn start(&mut self, contender: Contender, stage: &Stage) -> Result<Option<Running>> {
        if self.absent.contains(&contender) {
            return Ok(None);
        }
        match contender.start(stage, &mut self.traffic) {
            Ok(running) => Ok(Some(running)),
            Err(error) if contender == Contender::Flowtable => {
                self.absent.push(contender);
                self.results.note(format!(
                    "{} was not measured: this kernel refuses it ({}).",
                    contender.name(),
                    reason(&format!("{error:#}"))
                ));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// What a program called an error, of all that it said.
fn reason(said: &str) -> &str {
    let (_, reason) = said.split_once("Error: ").unwrap_or(("", said));
    reason.lines().next().unwrap_or(reason)
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_reason_is_the_line_with_the_error() {
        let said =
            "setting up: nft ended: /dev/stdin:1:2-3: Error: Could not process\ntable ip nat";
        assert_eq!(reason(said), "Could not process");
        assert_eq!(reason("no such file\nelse"), "no such file");
    }
}
