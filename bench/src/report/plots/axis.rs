//! An axis with ticks where there are values, and nowhere else.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Places along it, in order, and what is written there.
pub(super) struct Axis(Vec<(f64, String)>);

impl Axis {
    /// From the first place to the last.
    pub(super) fn new(ticks: Vec<(f64, String)>) -> Self {
        Self(ticks)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let Range { start, end } = self.range();
        let part = (value - start) / (end - start);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.0.iter().map(|(place, _)| *place).collect()
    }

    fn range(&self) -> Range<f64> {
        let end = |tick: Option<&(f64, String)>| tick.map_or(0.0, |(place, _)| *place);
        end(self.0.first())..end(self.0.last())
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.0.iter().find(|(place, _)| place == value);
        tick.map_or_else(String::new, |(_, text)| text.clone())
    }
}
