//! How far it is, on standard error.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::measure::Measure;

/// Says what is measured, and how long all of it will take once every measurement has been seen.
pub(crate) struct Progress {
    rounds: u32,
    /// What is still to do, and how long a round of it takes if that is known.
    measures: BTreeMap<&'static str, (u32, Option<Duration>)>,
    begun: Instant,
}

impl Progress {
    /// Before the first.
    pub(crate) fn new(rounds: u32, measures: &[Measure]) -> Self {
        let to_do = |measure: &Measure| (measure.name, (measure.rounds.min(rounds), None));
        Self {
            rounds,
            measures: measures.iter().map(to_do).collect(),
            begun: Instant::now(),
        }
    }

    /// A round of a measurement, from 0, begins.
    pub(crate) fn begin(&mut self, round: u32, measure: &Measure) {
        let left = match left(self.measures.values()) {
            Some(left) => format!("; {} s to go", left.as_secs()),
            None => String::new(),
        };
        eprintln!(
            "round {} of {}: {} ({}){left}",
            round + 1,
            self.rounds,
            measure.name,
            measure.about
        );
        self.begun = Instant::now();
    }

    /// It has ended.
    pub(crate) fn end(&mut self, measure: &Measure) {
        if let Some((to_do, took)) = self.measures.get_mut(measure.name) {
            *to_do = to_do.saturating_sub(1);
            *took = Some(self.begun.elapsed());
        }
    }
}

/// How long the rest takes; `None` as long as something has not been seen.
fn left<'a>(measures: impl IntoIterator<Item = &'a (u32, Option<Duration>)>) -> Option<Duration> {
    let each = measures.into_iter();
    each.map(|(to_do, took)| took.map(|took| took * *to_do))
        .sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::left;

    #[test]
    fn the_rest_is_known_once_all_has_been_seen() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(left(&[(3, second), (2, None)]), None);
        assert_eq!(
            left(&[(3, second), (2, second)]),
            Some(Duration::from_secs(5))
        );
    }
}
