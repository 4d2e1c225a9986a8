//! `snat-ctl metrics`: the metrics once, with the daemon stopped too.

use std::process::ExitCode;

use anyhow::Context as _;

use super::flows::loaded;
use crate::{
    cli::{Global, metrics::MetricsArgs},
    metrics::{self, Sample},
    output,
};

/// Counts what is in the tables, and prints all metrics.
///
/// # Errors
///
/// When nothing is loaded under that name or its maps can't be read.
pub fn execute(global: &Global, args: &MetricsArgs) -> anyhow::Result<ExitCode> {
    let name = global.instance();
    loaded(name)?;
    let sample = Sample::take(name).context("cannot read the metrics")?;
    let page = args.format.write(sample);
    if args.json {
        output::print_json(&metrics::families(&page))?;
    } else {
        output::print(&page)?;
    }
    Ok(ExitCode::SUCCESS)
}
