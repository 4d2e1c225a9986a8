//! What is dropped now that should not be.

use snat_common::Verdict;

use super::{Problem, Rates};
use crate::alerts;

/// Beside what the daemon's log tells of: lost packets that somebody on this machine can do something about.
const OTHERS: [(Verdict, &str); 4] = [
    (
        Verdict::LeakStopped,
        "client packets come in by an interface that is not in gateway.interfaces: list it, or change the route",
    ),
    (
        Verdict::UnmanagedEgress,
        "the route leaves by an interface that is not in gateway.interfaces: list it, or change the route",
    ),
    (
        Verdict::NoMapping,
        "an external address is routed to this host and on none of its interfaces: ip addr add it",
    ),
    (
        Verdict::RewriteFailed,
        "the kernel refuses to let packets be changed: see the kernel's log (dmesg)",
    ),
];

pub(super) fn problems(rates: &Rates) -> Vec<Problem> {
    let told = alerts::ALERTS.iter().chain(&OTHERS);
    let mut problems: Vec<_> = told
        .filter_map(|(verdict, remedy)| dropped(rates, *verdict, remedy))
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

fn dropped(rates: &Rates, verdict: Verdict, remedy: &str) -> Option<Problem> {
    let packets = rates.packets(verdict);
    (packets > 0).then(|| {
        let (name, means) = (verdict.name(), verdict.describe().trim());
        let what = format!(
            "{name}: {packets} packets in {:.1} s. {means}",
            rates.seconds
        );
        Problem::critical("drops", what, remedy).about(name)
    })
}
