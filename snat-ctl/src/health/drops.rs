//! What is dropped now that should not be.

use snat_common::Verdict;

use super::{Problem, Rates};
use crate::{advice::advice, alerts};

/// Beside what the daemon's log tells of: lost packets that somebody on this machine can do something about.
const OTHERS: [Verdict; 4] = [
    Verdict::LeakStopped,
    Verdict::UnmanagedEgress,
    Verdict::NoMapping,
    Verdict::RewriteFailed,
];

pub(super) fn problems(rates: &Rates) -> Vec<Problem> {
    let told = alerts::ALERTS.iter().chain(&OTHERS);
    let mut problems: Vec<_> = told
        .filter_map(|verdict| dropped(rates, *verdict))
        .collect();
    if rates.shared_ports > 0.0 {
        problems.push(Problem::degraded(
            "ports.shared",
            "an external address has no ports left that are a client's own: new flows share ports between destinations",
            "list more external addresses or more ports; `snat-ctl status` shows ports by address",
        ));
    }
    problems
}

fn dropped(rates: &Rates, verdict: Verdict) -> Option<Problem> {
    let packets = rates.packets(verdict);
    (packets > 0).then(|| {
        let (name, means) = (verdict.name(), verdict.describe().trim());
        let what = format!(
            "{name}: {packets} packets in {:.1} s. {means}",
            rates.seconds
        );
        Problem::critical("drops", what, advice(verdict).unwrap_or_default()).about(name)
    })
}
