//! `snat-ctl run`.

use std::process::ExitCode;

use crate::cli::{Global, RunArgs};

/// Runs the command.
///
/// # Errors
///
/// Always, for now.
pub fn execute(_global: &Global, _args: &RunArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("run: not built yet")
}
