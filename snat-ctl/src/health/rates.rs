//! What happens now: two looks at the counters.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;
use snat_common::{Event, Verdict};

use crate::datapath::{self, MapError, Pins, Totals};

/// The counters at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    at: Instant,
    /// Packets and bytes by verdict's name.
    pub totals: Totals,
    /// By event's name.
    pub events: BTreeMap<&'static str, u64>,
}

/// Per second, over the time between two samples; its JSON form is part of the contract.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Seconds between the two.
    pub seconds: f64,
    /// From clients, translated and sent on.
    pub packets_out: f64,
    /// Bits of these, Ethernet headers included.
    pub bits_out: f64,
    /// To clients, translated back and sent on.
    pub packets_in: f64,
    /// Bits of these.
    pub bits_in: f64,
    /// Flows opened.
    pub new_flows: f64,
    /// Flows that found no port of their own left, and share one.
    pub shared_ports: f64,
    /// Packets by verdict's name, of those that had any.
    pub verdicts: BTreeMap<&'static str, f64>,
}

impl Sample {
    /// Reads the counters.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn take(pins: &Pins) -> Result<Self, MapError> {
        Ok(Self {
            at: Instant::now(),
            totals: datapath::totals(pins)?,
            events: datapath::events(pins)?,
        })
    }
}

impl Rates {
    /// Between two samples, of which the first is the earlier.
    #[must_use]
    pub fn between(before: &Sample, after: &Sample) -> Self {
        Self::over(before, after, after.at - before.at)
    }

    fn over(before: &Sample, after: &Sample, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(0.001);
        // Less than before: the datapath was loaded anew meanwhile.
        let per_second = |then: u64, now: u64| now.saturating_sub(then) as f64 / seconds;
        let counted = |sample: &Sample, name| sample.totals.get(name).copied().unwrap_or_default();
        let packets = |verdict: Verdict| {
            let name = verdict.name();
            per_second(counted(before, name).0, counted(after, name).0)
        };
        let event = |event: Event| {
            let at = |sample: &Sample| sample.events.get(event.name()).copied().unwrap_or(0);
            per_second(at(before), at(after))
        };
        let translated = |sample: &Sample| datapath::translated(&sample.totals);
        let [(_, then_out), (_, then_in)] = translated(before);
        let [(_, now_out), (_, now_in)] = translated(after);
        let verdicts = Verdict::ALL.iter();
        Self {
            seconds,
            packets_out: per_second(then_out.0, now_out.0),
            bits_out: 8.0 * per_second(then_out.1, now_out.1),
            packets_in: per_second(then_in.0, now_in.0),
            bits_in: 8.0 * per_second(then_in.1, now_in.1),
            new_flows: event(Event::FlowOpened),
            shared_ports: event(Event::PortShared),
            verdicts: verdicts
                .map(|verdict| (verdict.name(), packets(*verdict)))
                .filter(|(_, rate)| *rate > 0.0)
                .collect(),
        }
    }

    /// Packets a second of every reason for which some were dropped.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let verdicts = Verdict::drops();
        verdicts.filter_map(|verdict| {
            let rate = self.verdicts.get(verdict.name())?;
            Some((verdict.name(), *rate))
        })
    }

    /// Packets of a verdict between the two samples.
    #[must_use]
    pub fn packets(&self, verdict: Verdict) -> u64 {
        let rate = self.verdicts.get(verdict.name()).copied().unwrap_or(0.0);
        (rate * self.seconds).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        time::{Duration, Instant},
    };

    use super::{Rates, Sample, Verdict};

    fn sample(out: (u64, u64), opened: u64) -> Sample {
        Sample {
            at: Instant::now(),
            totals: BTreeMap::from([("translated_out", out)]),
            events: BTreeMap::from([("flow_opened", opened)]),
        }
    }

    #[test]
    fn rates_are_per_second_and_bytes_are_bits() {
        let two = Duration::from_secs(2);
        let rates = Rates::over(&sample((10, 1000), 1), &sample((30, 3000), 4), two);
        assert_eq!((rates.packets_out, rates.bits_out), (10.0, 8000.0));
        assert_eq!(rates.new_flows, 1.5);
        assert_eq!(rates.verdicts, BTreeMap::from([("translated_out", 10.0)]));
        assert_eq!(rates.packets(Verdict::TranslatedOut), 20);
    }

    #[test]
    fn icmp_errors_that_leave_translated_are_traffic_too() {
        let none = sample((0, 0), 0);
        let mut both = sample((1, 100), 0);
        both.totals.insert("error_out", (1, 70));
        let rates = Rates::over(&none, &both, Duration::from_secs(1));
        assert_eq!((rates.packets_out, rates.bits_out), (2.0, 8.0 * 170.0));
    }

    #[test]
    fn counters_that_began_anew_are_no_rate() {
        let second = Duration::from_secs(1);
        let rates = Rates::over(&sample((30, 3000), 9), &sample((3, 300), 0), second);
        assert_eq!((rates.packets_out, rates.new_flows), (0.0, 0.0));
    }
}
