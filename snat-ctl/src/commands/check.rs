//! `snat-ctl check`.

use std::process::ExitCode;

use crate::{
    cli::{CheckArgs, Global},
    config::Config,
};

/// Runs the command.
///
/// # Errors
///
/// When the configuration is wrong.
pub fn execute(global: &Global, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load_for(&args.config, global.name.as_deref())?;
    anyhow::bail!("check: not built yet: {}", config.gateway.name)
}
