//! `snat-ctl metrics`: the metrics once, with the daemon stopped too.

use std::process::ExitCode;

use anyhow::Context as _;

use super::flows::loaded;
use crate::{
    cli::{Global, metrics::MetricsArgs},
    metrics::Sample,
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
    output::print(&args.format.write(sample))?;
    Ok(ExitCode::SUCCESS)
}
