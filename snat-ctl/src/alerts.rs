//! Tells the operator when clients are refused (RFC 6888 REQ-11C), in the daemon's log.

use std::time::{Duration, Instant};

use snat_common::Verdict;

use crate::{
    advice::advice,
    datapath::{MapError, Pins, Totals, totals},
};

/// Least time between two lines about the same thing.
const PAUSE: Duration = Duration::from_secs(10);

/// What is told.
pub(crate) const ALERTS: [Verdict; 5] = [
    Verdict::PortsExhausted,
    Verdict::TableFull,
    Verdict::ShareLimit,
    Verdict::SourceLimit,
    Verdict::SourceRate,
];

/// What has been told so far.
pub struct Alerts {
    told: [Told; ALERTS.len()],
}

/// Of one kind.
#[derive(Clone, Copy)]
struct Told {
    /// The counter then.
    packets: u64,
    /// When; never, if nothing was.
    when: Option<Instant>,
}

impl Alerts {
    /// From now on: what was refused before is not told.
    ///
    /// # Errors
    ///
    /// [`MapError`] of the counters.
    pub fn begin(pins: &Pins) -> Result<Self, MapError> {
        Ok(Self::since(&totals(pins)?))
    }

    /// A line for each kind of refusal that went on since the last, at most one in ten seconds.
    ///
    /// # Errors
    ///
    /// [`MapError`] of the counters.
    pub fn lines(&mut self, pins: &Pins) -> Result<Vec<String>, MapError> {
        Ok(self.look(&totals(pins)?, Instant::now()))
    }

    fn since(totals: &Totals) -> Self {
        let told = |verdict: Verdict| Told {
            packets: packets(totals, verdict),
            when: None,
        };
        Self {
            told: ALERTS.map(told),
        }
    }

    fn look(&mut self, totals: &Totals, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for (told, verdict) in self.told.iter_mut().zip(ALERTS) {
            let packets = packets(totals, verdict);
            let recent = told.when.is_some_and(|when| now < when + PAUSE);
            if packets == told.packets || recent {
                continue;
            }
            // Less than before: somebody else has loaded the datapath anew.
            let more = packets.checked_sub(told.packets).unwrap_or(packets);
            *told = Told {
                packets,
                when: Some(now),
            };
            if more > 0 {
                let (name, what) = (verdict.name(), verdict.describe().trim());
                lines.push(format!(
                    "{name}: {more} packets refused. {what} {}.",
                    advice(verdict).unwrap_or_default()
                ));
            }
        }
        lines
    }
}

fn packets(totals: &Totals, verdict: Verdict) -> u64 {
    totals
        .get(verdict.name())
        .map_or(0, |(packets, _)| *packets)
}

#[cfg(test)]
mod tests {
    use super::{Alerts, Duration, Instant, PAUSE, Totals};

    fn totals(exhausted: u64, full: u64) -> Totals {
        Totals::from([
            ("ports_exhausted", (exhausted, 0)),
            ("table_full", (full, 0)),
        ])
    }

    #[test]
    fn only_what_is_refused_from_now_on_is_told_at_most_once_a_pause_and_kind() {
        let begin = Instant::now();
        let mut alerts = Alerts::since(&totals(5, 0));
        assert_eq!(alerts.look(&totals(5, 0), begin), [""; 0]);

        let [line] = &alerts.look(&totals(7, 0), begin)[..] else {
            panic!("one")
        };
        assert!(
            line.starts_with("ports_exhausted: 2 packets refused. "),
            "{line}"
        );
        assert!(line.contains("List more external addresses"), "{line}");

        let [line] = &alerts.look(&totals(9, 1), begin + Duration::from_secs(1))[..] else {
            panic!("another kind only")
        };
        assert!(
            line.starts_with("table_full: 1 packets refused. "),
            "{line}"
        );

        let [line] = &alerts.look(&totals(10, 1), begin + PAUSE)[..] else {
            panic!("all since the last line")
        };
        assert!(line.starts_with("ports_exhausted: 3 packets"), "{line}");
        assert_eq!(alerts.look(&totals(10, 1), begin + 3 * PAUSE), [""; 0]);
    }
}
