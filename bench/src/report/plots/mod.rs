//! The plots: who is how good, over what.

mod axis;
mod chart;

use anyhow::Result;

use crate::{
    measure::{claim, established, latency},
    results::{Quantity, Results},
};

/// A plot of one quantity.
struct Plot {
    file: &'static str,
    quantity: Quantity,
    title: &'static str,
    axes: [&'static str; 2],
    /// Of the quantity's unit, one of the axis'.
    per: f64,
    along: fn(u64, &[u64]) -> f64,
    label: fn(u64) -> String,
}

const PLOTS: [Plot; 5] = [
    Plot {
        file: "rate-over-flows.svg",
        quantity: established::SMALL,
        title: "Packets of 64 bytes, of flows that exist",
        axes: ["flows", "million packets/s"],
        per: 1e6,
        along: |at, _| (at.max(1) as f64).log10(),
        label: thousands,
    },
    Plot {
        file: "claim-over-occupancy.svg",
        quantity: claim::TOWARDS,
        title: "First packet of a flow, with the claim of its port: the program alone",
        axes: ["ports taken", "ns"],
        per: 1.0,
        along: evenly,
        label: permille,
    },
    Plot {
        file: "claim-live-over-occupancy.svg",
        quantity: claim::LIVE,
        title: "First packet of a flow, with the claim of its port: all the way",
        axes: ["ports taken", "µs"],
        per: 1e3,
        along: evenly,
        label: permille,
    },
    Plot {
        file: "latency-p50-over-load.svg",
        quantity: latency::P50,
        title: "Half of all packets take less",
        axes: ["load, of what routing carries", "µs"],
        per: 1.0,
        along: |at, _| at as f64,
        label: |at| format!("{at} %"),
    },
    Plot {
        file: "latency-p99-over-load.svg",
        quantity: latency::P99,
        title: "99 of 100 packets take less",
        axes: ["load, of what routing carries", "µs"],
        per: 1.0,
        along: |at, _| at as f64,
        label: |at| format!("{at} %"),
    },
];

/// Left out: so far above the rest that it would press that together.
const NOT_DRAWN: [&str; 1] = ["drop (generator)"];

/// A line: who, and points.
type Line = (String, Vec<(u64, f64)>);

/// Files and their SVG, of what was measured at more than one point.
pub(crate) fn draw(results: &Results) -> Result<Vec<(&'static str, String)>> {
    let mut files = Vec::new();
    for plot in &PLOTS {
        let lines = lines(results, plot.quantity, plot.per);
        if lines.iter().any(|(_, points)| points.len() > 1) {
            files.push((plot.file, chart::svg(plot, &lines)?));
        }
    }
    Ok(files)
}

fn lines(results: &Results, quantity: Quantity, per: f64) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (place, summary) in results.of(quantity) {
        if NOT_DRAWN.contains(&place.who.as_str()) {
            continue;
        }
        let point = (place.at, summary.median / per);
        match lines.iter_mut().find(|(who, _)| *who == place.who) {
            Some((_, points)) => points.push(point),
            None => lines.push((place.who.clone(), vec![point])),
        }
    }
    lines
}

fn evenly(at: u64, ats: &[u64]) -> f64 {
    ats.iter().position(|other| *other == at).unwrap_or(0) as f64
}

fn permille(at: u64) -> String {
    format!("{} %", at as f64 / 10.0)
}

fn thousands(at: u64) -> String {
    match at {
        at if at >= 1_000_000 => format!("{} M", at / 1_000_000),
        at if at >= 1000 => format!("{} k", at / 1000),
        at => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Results, claim, draw, latency};
    use crate::measure::established::SMALL;

    #[test]
    fn a_plot_names_everybody_in_it_and_every_point() {
        let mut results = Results::default();
        for who in ["snat-ctl xdp", "nft masquerade", "drop (generator)"] {
            results.add(SMALL, 1, who, 4e6);
            results.add(SMALL, 50_000, who, 3e6);
        }
        let files = draw(&results).unwrap();
        let [(name, svg)] = &files[..] else {
            panic!("{} plots", files.len());
        };
        assert_eq!(*name, "rate-over-flows.svg");
        for text in ["snat-ctl xdp", "nft masquerade", "50 k", "flows"] {
            assert!(svg.contains(text), "no {text}");
        }
        assert!(!svg.contains("drop (generator)"));
    }

    #[test]
    fn claims_and_latencies_are_drawn_over_per_cent() {
        let mut results = Results::default();
        for (quantity, points) in [(claim::TOWARDS, [10, 999]), (latency::P99, [0, 75])] {
            for at in points {
                results.add(quantity, at, "snat-ctl tc", 100.0);
            }
        }
        let files = draw(&results).unwrap();
        let [(_, claim), (_, latency)] = &files[..] else {
            panic!("{} plots", files.len());
        };
        assert!(claim.contains("99.9 %"));
        assert!(latency.contains("75 %"));
    }

    #[test]
    fn one_point_is_no_plot() {
        let mut results = Results::default();
        results.add(SMALL, 1000, "snat-ctl xdp", 4e6);
        assert!(draw(&results).unwrap().is_empty());
    }
}
