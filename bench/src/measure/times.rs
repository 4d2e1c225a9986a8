//! How long packets took, in buckets, and which part of them took no longer than that.

use snat_common::load::pace::end;

/// Of the packets that were sent at the same time.
#[derive(Debug)]
pub(crate) struct Times {
    /// How many, by bucket; the last is of all that took longer.
    buckets: Vec<u64>,
    /// The part of them that arrived.
    arrived: f64,
}

impl Times {
    /// What was counted between two readings; of so many packets sent so many arrived.
    pub(crate) fn between(before: &[u64], after: &[u64], sent: u64, arrived: u64) -> Self {
        let buckets = before
            .iter()
            .zip(after)
            .map(|(before, after)| after - before);
        Self {
            buckets: buckets.collect(),
            // Those that are under way at the beginning may make it more than all.
            arrived: (arrived as f64 / sent.max(1) as f64).min(1.0),
        }
    }

    /// The nanoseconds that this part of the packets took at most; none if fewer arrived in a time that can be told.
    pub(crate) fn within(&self, part: f64) -> Option<u32> {
        let (_, told) = self.buckets.split_last()?;
        let wanted = part / self.arrived * self.all();
        let mut sum = 0.0;
        for (bucket, count) in (0..).zip(told) {
            sum += *count as f64;
            if *count > 0 && sum >= wanted {
                return Some(end(bucket));
            }
        }
        None
    }

    /// The part of the packets that were lost, or took longer than can be told.
    pub(crate) fn late(&self) -> f64 {
        let longer = *self.buckets.last().unwrap_or(&0) as f64;
        1.0 - self.arrived * (1.0 - longer / self.all().max(1.0))
    }

    fn all(&self) -> f64 {
        self.buckets.iter().sum::<u64>() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Times;

    /// Hundred packets, of which this part arrived.
    fn times(arrived: u64) -> Times {
        Times::between(&[5, 5, 5, 5], &[55, 45, 15, 5], 100, arrived)
    }

    #[test]
    fn a_part_is_within_the_end_of_its_bucket() {
        let parts = [0.5, 0.51, 0.9, 0.99];
        let within = parts.map(|part| times(100).within(part));
        assert_eq!(within, [Some(16), Some(32), Some(32), Some(48)]);
        assert!(times(100).late() < 0.001);
    }

    #[test]
    fn what_is_lost_took_longer_than_what_arrived() {
        assert_eq!(times(80).within(0.5), Some(32));
        assert_eq!(times(80).within(0.9), None);
        assert!((times(80).late() - 0.2).abs() < 0.001);
    }

    #[test]
    fn what_took_too_long_to_be_told_counts_as_late() {
        let times = Times::between(&[0, 0], &[90, 10], 100, 100);
        assert_eq!((times.within(0.9), times.within(0.95)), (Some(16), None));
        assert!((times.late() - 0.1).abs() < 0.001);
    }

    #[test]
    fn nothing_arrived() {
        assert_eq!(Times::between(&[0, 0], &[0, 0], 100, 0).within(0.5), None);
    }
}
