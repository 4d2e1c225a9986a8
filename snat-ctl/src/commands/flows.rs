//! `snat-ctl flows`.

use std::process::ExitCode;

use crate::cli::{FlowsArgs, Global};

/// Runs the command.
///
/// # Errors
///
/// Always, for now.
pub fn execute(_global: &Global, _args: &FlowsArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("flows: not built yet")
}
