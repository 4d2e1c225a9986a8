//! `snat-ctl check`.

use std::process::ExitCode;

use crate::cli::{CheckArgs, Global};

/// Runs the command.
///
/// # Errors
///
/// Always, for now.
pub fn execute(_global: &Global, _args: &CheckArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("check: not built yet")
}
