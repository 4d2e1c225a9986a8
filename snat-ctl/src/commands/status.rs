//! `snat-ctl status`.

use std::process::ExitCode;

use crate::cli::{Global, StatusArgs};

/// Runs the command.
///
/// # Errors
///
/// Always, for now.
pub fn execute(_global: &Global, _args: &StatusArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("status: not built yet")
}
