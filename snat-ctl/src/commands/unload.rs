//! `snat-ctl unload`.

use std::process::ExitCode;

use crate::cli::{Global, UnloadArgs};

/// Runs the command.
///
/// # Errors
///
/// Always, for now.
pub fn execute(_global: &Global, _args: &UnloadArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("unload: not built yet")
}
