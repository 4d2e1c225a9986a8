//! The same as a document, with every single number.

use serde_json::{Value, json};

use crate::{report::Report, results::summary};

/// Fields: `machine`, `rounds`, `quick`, `results`, `targets`, `notes`.
pub(crate) fn document(report: &Report<'_>) -> Value {
    let results: Vec<_> = report
        .results
        .series()
        .map(|(place, values)| {
            let summary = summary(values);
            json!({
                "quantity": place.quantity.name,
                "unit": place.quantity.unit,
                "over": place.quantity.over,
                "at": place.at,
                "who": place.who,
                "median": summary.map(|summary| summary.median),
                "min": summary.map(|summary| summary.min),
                "max": summary.map(|summary| summary.max),
                "values": values,
            })
        })
        .collect();
    json!({
        "machine": report.machine,
        "rounds": report.options.rounds,
        "quick": report.options.quick,
        "results": results,
        "targets": report.verdicts,
        "notes": report.notes,
    })
}
