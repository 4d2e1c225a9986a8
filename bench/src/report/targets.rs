//! What must be reached, and whether it was.

use serde::Serialize;

use crate::{
    measure::{
        bulk::WHOLE as BULK,
        claim::TOWARDS as CLAIM,
        established::{ONE_ARM, ONE_CPU, SMALL},
        latency::P99,
        memory::FLOW as MEMORY,
        new_flows::MANY as NEW,
    },
    results::{Quantity, Results},
};

const XDP: &str = "snat-ctl xdp";
const TC: &str = "snat-ctl tc";
const MASQUERADE: &str = "nft masquerade";

/// A place in the results: quantity, point, who.
type At = (Quantity, u64, &'static str);

/// Something to be reached.
struct Target {
    what: &'static str,
    /// Without, it is only to be seen beside the others.
    bound: Option<Bound>,
    measured: At,
    /// What it is a multiple of; an absolute figure without.
    of: Option<At>,
}

/// Which side is good.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// Reached from there up.
    AtLeast(f64),
    /// Reached up to there.
    AtMost(f64),
}

/// How it came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// What was to be reached.
    pub(crate) what: &'static str,
    /// How much of it; `None` where the figure is only to be seen beside the others.
    pub(crate) target: Option<Bound>,
    /// A ratio or a figure; `None` if it was not measured.
    pub(crate) measured: Option<f64>,
    /// Whether it was reached; `None` if it was not measured, or has no target.
    pub(crate) met: Option<bool>,
}

const fn ratio(what: &'static str, bound: Bound, measured: At, of: At) -> Target {
    Target {
        what,
        bound: Some(bound),
        measured,
        of: Some(of),
    }
}

const fn beside(what: &'static str, measured: At, of: At) -> Target {
    Target {
        what,
        bound: None,
        measured,
        of: Some(of),
    }
}

const TARGETS: [Target; 13] = [
    ratio(
        "xdp, established, 64 B, 1 k flows, routed: of bare XDP redirect",
        Bound::AtLeast(0.9),
        (SMALL, 1000, XDP),
        (SMALL, 1000, "bare XDP redirect"),
    ),
    ratio(
        "the same: of nft masquerade",
        Bound::AtLeast(3.5),
        (SMALL, 1000, XDP),
        (SMALL, 1000, MASQUERADE),
    ),
    beside(
        "the same on one CPU: of bare XDP redirect",
        (ONE_CPU, 1000, XDP),
        (ONE_CPU, 1000, "bare XDP redirect"),
    ),
    beside(
        "the same on one CPU: of nft masquerade",
        (ONE_CPU, 1000, XDP),
        (ONE_CPU, 1000, MASQUERADE),
    ),
    ratio(
        "xdp, one arm: of bare XDP_TX",
        Bound::AtLeast(0.9),
        (ONE_ARM, 1000, XDP),
        (ONE_ARM, 1000, "bare XDP_TX"),
    ),
    ratio(
        "xdp, 1 M flows: of its own rate at 1 flow",
        Bound::AtLeast(0.55),
        (SMALL, 1_000_000, XDP),
        (SMALL, 1, XDP),
    ),
    ratio(
        "the same: of nft masquerade at 1 M flows",
        Bound::AtLeast(3.0),
        (SMALL, 1_000_000, XDP),
        (SMALL, 1_000_000, MASQUERADE),
    ),
    ratio(
        "xdp, new flows per second: of nft masquerade's",
        Bound::AtLeast(2.0),
        (NEW, 0, XDP),
        (NEW, 0, MASQUERADE),
    ),
    ratio(
        "tc, 64 B, 1 k flows: of nft masquerade",
        Bound::AtLeast(1.3),
        (SMALL, 1000, TC),
        (SMALL, 1000, MASQUERADE),
    ),
    ratio(
        "bulk TCP with offloads, one stream, tc: of nft masquerade",
        Bound::AtLeast(1.0),
        (BULK, 1, TC),
        (BULK, 1, MASQUERADE),
    ),
    ratio(
        "port claim at 99.9 % occupancy: of its cost at 1 %",
        Bound::AtMost(2.0),
        (CLAIM, 999, TC),
        (CLAIM, 10, TC),
    ),
    Target {
        what: "memory per flow, both directions, maps included: bytes",
        bound: Some(Bound::AtMost(256.0)),
        measured: (MEMORY, 1_000_000, XDP),
        of: None,
    },
    ratio(
        "xdp, p99 latency under half load: of routing without NAT",
        Bound::AtMost(1.1),
        (P99, 50, XDP),
        (P99, 50, "kernel routing"),
    ),
];

/// All of them.
pub(crate) fn verdicts(results: &Results) -> Vec<Verdict> {
    TARGETS
        .iter()
        .map(|target| target.verdict(results))
        .collect()
}

impl Target {
    fn verdict(&self, results: &Results) -> Verdict {
        let median = |(quantity, at, who)| results.median(quantity, at, who);
        let of = match self.of {
            Some(of) => median(of),
            None => Some(1.0),
        };
        let measured = median(self.measured).zip(of).map(|(value, of)| value / of);
        Verdict {
            what: self.what,
            target: self.bound,
            measured,
            met: measured
                .zip(self.bound)
                .map(|(measured, bound)| match bound {
                    Bound::AtLeast(least) => measured >= least,
                    Bound::AtMost(most) => measured <= most,
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ONE_ARM, ONE_CPU, Results, SMALL, verdicts};

    #[test]
    fn a_target_is_met_from_its_bound_on() {
        for (xdp, met) in [(8.9, false), (9.0, true)] {
            let mut results = Results::default();
            results.add(SMALL, 1000, "snat-ctl xdp", xdp);
            results.add(SMALL, 1000, "bare XDP redirect", 10.0);
            let verdicts = verdicts(&results);
            assert_eq!(verdicts[0].measured, Some(xdp / 10.0));
            assert_eq!(verdicts[0].met, Some(met));
        }
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let mut results = Results::default();
        results.add(ONE_ARM, 1000, "snat-ctl xdp", 1.0);
        let verdicts = verdicts(&results);
        assert!(verdicts.iter().all(|verdict| verdict.met.is_none()));
    }

    #[test]
    fn what_has_no_target_is_shown_without_one() {
        let mut results = Results::default();
        results.add(ONE_CPU, 1000, "snat-ctl xdp", 3.0);
        results.add(ONE_CPU, 1000, "nft masquerade", 1.0);
        let verdicts = verdicts(&results);
        let shown = verdicts.iter().find(|verdict| verdict.measured.is_some());
        assert!(shown.is_some_and(|shown| shown.target.is_none() && shown.met.is_none()));
    }
}
