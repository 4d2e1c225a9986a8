//! `snat-ctl completions`: made from the same source as the help.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, CompletionsArgs},
    output,
};

/// Prints the completion script of the wanted shell.
///
/// # Errors
///
/// When standard output cannot be written.
pub fn execute(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "snat-ctl", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
