//! How many packets were dropped, by reason.

use std::{thread, time::Instant};

use anyhow::Context as _;
use serde::Serialize;
use snat_common::{Action, Verdict};

use super::reasons;
use crate::{
    advice::advice,
    cli::drops::DropsArgs,
    datapath::{self, Pins, Totals},
    output,
};

/// Prints the counters, and how fast they grow.
pub(super) fn show(name: &str, pins: &Pins, args: &DropsArgs) -> anyhow::Result<()> {
    let totals = || datapath::totals(pins).context("cannot read the counters");
    let first = totals()?;
    let begun = Instant::now();
    let (last, seconds) = if args.interval.is_zero() {
        (first.clone(), None)
    } else {
        thread::sleep(args.interval);
        (totals()?, Some(begun.elapsed().as_secs_f64()))
    };
    let reasons = reasons(args);
    let reasons = reasons
        .into_iter()
        .map(|verdict| Reason::between(verdict, &first, &last, seconds));
    let drops = Drops {
        name,
        interval_seconds: seconds,
        reasons: reasons.collect(),
    };
    if args.json {
        output::print_json(&drops)
    } else {
        output::print(&drops.table(args.all || !args.reasons.is_empty()))
    }
}

/// The JSON form, whose names are part of the contract.
#[derive(Serialize)]
struct Drops<'a> {
    /// The instance.
    name: &'a str,
    /// For how long rates were measured.
    interval_seconds: Option<f64>,
    /// In the order of the counters, zeros as well.
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Reason {
    reason: &'static str,
    /// Whether the sender is told, as far as `[answers]` goes.
    answered: bool,
    /// Since the datapath was loaded.
    packets: u64,
    bytes: u64,
    packets_per_second: Option<f64>,
    meaning: &'static str,
    advice: &'static str,
}

impl Reason {
    fn between(verdict: Verdict, first: &Totals, last: &Totals, seconds: Option<f64>) -> Self {
        let count = |totals: &Totals| totals.get(verdict.name()).copied().unwrap_or_default();
        let ((before, _), (packets, bytes)) = (count(first), count(last));
        Self {
            reason: verdict.name(),
            answered: verdict.action() == Action::Refuse,
            packets,
            bytes,
            packets_per_second: seconds.map(|seconds| {
                // Less than before: loaded anew meanwhile.
                packets.saturating_sub(before) as f64 / seconds
            }),
            meaning: verdict.describe().trim(),
            advice: advice(verdict).unwrap_or_default(),
        }
    }
}

impl Drops<'_> {
    fn table(&self, all: bool) -> String {
        let shown = self
            .reasons
            .iter()
            .filter(|reason| all || reason.packets > 0);
        let mut table = output::table(
            &[
                "REASON",
                "PACKETS",
                "PER SECOND",
                "WHAT IT IS, AND WHAT TO DO",
            ],
            1,
        );
        if let Some(words) = table.column_mut(3) {
            words.set_cell_alignment(comfy_table::CellAlignment::Left);
        }
        let mut rows = 0;
        for reason in shown {
            rows += 1;
            table.add_row([
                reason.reason.to_owned(),
                reason.packets.to_string(),
                reason
                    .packets_per_second
                    .map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")),
                format!("{} {}.", reason.meaning, reason.advice),
            ]);
        }
        if rows == 0 {
            return "no packet was dropped since the datapath was loaded\n".to_owned();
        }
        output::rows(&table) + "\n"
    }
}
