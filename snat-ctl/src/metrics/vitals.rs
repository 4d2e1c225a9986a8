//! How the daemon itself is doing: what its loop tells, and who asks over HTTP reads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::sample::{Census, Sweeps};
use crate::datapath;

/// Longest time without a sweep: several that are due, and one over a table that is full.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the daemon looks after, and may fail at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Ageing.
    Sweep,
    /// The host's links, addresses, routes and neighbours.
    Network,
}

/// Shared by the daemon's loop and those who ask.
#[derive(Debug)]
pub struct Vitals(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The last sweep that succeeded, or the daemon's begin.
    alive: Instant,
    census: Option<Census>,
    sweeps: Sweeps,
    troubles: BTreeMap<Part, String>,
}

impl Default for Vitals {
    fn default() -> Self {
        Self(Mutex::new(State {
            alive: Instant::now(),
            census: None,
            sweeps: Sweeps::default(),
            troubles: BTreeMap::new(),
        }))
    }
}

impl Vitals {
    /// A sweep is done: what it counted, and how long it took.
    pub fn swept(&self, counted: datapath::Census, took: Duration) {
        let mut state = self.state();
        state.alive = Instant::now();
        state.census = Some(Census {
            counted: Arc::new(counted),
            at: SystemTime::now(),
        });
        state.sweeps.last = took;
        state.troubles.remove(&Part::Sweep);
    }

    /// Something went wrong, in the words of the log.
    pub fn failed(&self, part: Part, what: String) {
        let mut state = self.state();
        state.sweeps.failed += u64::from(part == Part::Sweep);
        state.troubles.insert(part, what);
    }

    /// What went wrong before goes well.
    pub fn recovered(&self, part: Part) {
        self.state().troubles.remove(&part);
    }

    /// What keeps the daemon from its work, in sentences; nothing if all is well.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let state = self.state();
        let mut troubles: Vec<_> = state.troubles.values().cloned().collect();
        let silence = state.alive.elapsed();
        if silence > PATIENCE {
            troubles.push(format!(
                "no sweep for {} s: idle flows keep their room and their ports",
                silence.as_secs()
            ));
        }
        troubles
    }

    pub(super) fn census(&self) -> Option<Census> {
        self.state().census.clone()
    }

    pub(super) fn sweeps(&self) -> Sweeps {
        self.state().sweeps
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, PATIENCE, Part, Vitals, datapath};

    #[test]
    fn what_went_wrong_is_told_until_it_goes_well() {
        let vitals = Vitals::default();
        assert_eq!(vitals.troubles(), [""; 0]);
        vitals.failed(Part::Network, "cannot follow".to_owned());
        vitals.failed(Part::Sweep, "cannot age".to_owned());
        assert_eq!(vitals.troubles(), ["cannot age", "cannot follow"]);
        vitals.recovered(Part::Network);
        assert_eq!(vitals.troubles(), ["cannot age"]);
        vitals.swept(datapath::Census::default(), Duration::ZERO);
        assert_eq!(vitals.troubles(), [""; 0]);
        assert_eq!(vitals.sweeps().failed, 1);
    }

    #[test]
    fn a_loop_that_stands_still_is_told() {
        let vitals = Vitals::default();
        let long_ago = Instant::now().checked_sub(PATIENCE + Duration::from_secs(1));
        vitals.state().alive = long_ago.expect("the machine has been up for longer");
        assert!(vitals.troubles()[0].starts_with("no sweep for 31 s"));
    }
}
