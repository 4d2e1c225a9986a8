//! What was measured: numbers by what, who and where, each taken once a round.

use std::collections::BTreeMap;

use serde::Serialize;

/// A quantity, as tables and plots name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Quantity {
    /// What it is: "established flows, 64 B".
    pub(crate) name: &'static str,
    /// Its unit: "packets/s", "ns", "bytes".
    pub(crate) unit: &'static str,
    /// What its points differ in: "flows", "ports taken, ‰"; empty where there is only one.
    pub(crate) over: &'static str,
}

/// One place in the table: its numbers are of one series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Place {
    /// What.
    pub(crate) quantity: Quantity,
    /// At which point of it; 0 where there is only one.
    pub(crate) at: u64,
    /// Who: a contender's name, or a program's.
    pub(crate) who: String,
}

/// All numbers of a run.
#[derive(Debug, Default)]
pub(crate) struct Results {
    series: BTreeMap<Place, Vec<f64>>,
    quantities: Vec<Quantity>,
    notes: Vec<String>,
}

/// Median and spread of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// The middle one; of an even number, the mean of the middle two.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
    /// How many there are.
    pub(crate) rounds: usize,
}

impl Results {
    /// Adds a number.
    pub(crate) fn add(&mut self, quantity: Quantity, at: u64, who: &str, value: f64) {
        if !self.quantities.contains(&quantity) {
            self.quantities.push(quantity);
        }
        let who = who.to_owned();
        let place = Place { quantity, at, who };
        self.series.entry(place).or_default().push(value);
    }

    /// Adds what a reader has to know, once.
    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What has to be known.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The quantities in the order in which they were measured first.
    pub(crate) fn quantities(&self) -> &[Quantity] {
        &self.quantities
    }

    /// The places of a quantity, points in order.
    pub(crate) fn of(&self, quantity: Quantity) -> impl Iterator<Item = (&Place, Summary)> {
        let series = self.series.iter();
        series
            .filter(move |(place, _)| place.quantity == quantity)
            .filter_map(|(place, values)| Some((place, summary(values)?)))
    }

    /// All places and their numbers.
    pub(crate) fn series(&self) -> impl Iterator<Item = (&Place, &[f64])> {
        let series = self.series.iter();
        series.map(|(place, values)| (place, values.as_slice()))
    }

    /// The median of one place, if it was measured.
    pub(crate) fn median(&self, quantity: Quantity, at: u64, who: &str) -> Option<f64> {
        let (_, values) = self
            .series
            .iter()
            .find(|(place, _)| place.quantity == quantity && place.at == at && place.who == who)?;
        Some(summary(values)?.median)
    }
}

/// Median and spread; `None` of nothing.
pub(crate) fn summary(series: &[f64]) -> Option<Summary> {
    let mut sorted = series.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (&min, &max) = (sorted.first()?, sorted.last()?);
    let half = sorted.len() / 2;
    let median = if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[half - 1], sorted[half])
    } else {
        sorted[half]
    };
    Some(Summary {
        median,
        min,
        max,
        rounds: sorted.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn the_median_is_in_the_middle() {
        let summary = summary(&[3.0, 1.0, 2.0, 10.0]).unwrap();
        assert_eq!((summary.median, summary.min, summary.max), (2.5, 1.0, 10.0));
    }

    #[test]
    fn of_nothing_there_is_no_median() {
        assert!(summary(&[]).is_none());
    }
}
