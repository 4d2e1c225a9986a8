//! The binary: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;
use snat_ctl::{
    cli::{Cli, Command},
    commands::{self, WrongUsage},
    config::ConfigError,
    output::{OutputClosed, told},
};

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    execute(&cli).unwrap_or_else(|error| report(&error))
}

fn execute(cli: &Cli) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        Command::Check(args) => commands::check::execute(global, args),
        Command::Run(args) => commands::run::execute(global, args),
        Command::Adopt(args) => commands::adopt::execute(global, args),
        Command::Apply(args) => commands::apply::execute(global, args),
        Command::Status(args) => commands::status::execute(global, args),
        Command::Flows(args) => commands::flows::execute(global, args),
        Command::Pools(args) => commands::pools::execute(global, args),
        Command::Explain(args) => commands::explain::execute(global, args),
        Command::Metrics(args) => commands::metrics::execute(global, args),
        Command::Drops(args) => commands::drops::execute(global, args),
        Command::Top(args) => commands::top::execute(global, args),
        Command::Import(args) => commands::import::execute(global, args),
        Command::Eni(args) => commands::eni::execute(global, args),
        Command::Unload(args) => commands::unload::execute(global, args),
        Command::Completions(args) => commands::completions::execute(args),
        Command::Man(args) => commands::man::execute(args),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<OutputClosed>() {
        return ExitCode::SUCCESS;
    }
    let Some(wrong) = error.downcast_ref::<ConfigError>() else {
        eprintln!("error: {}", told(error));
        return ExitCode::from(if error.is::<WrongUsage>() {
            WRONG_USAGE
        } else {
            FAILED
        });
    };
    // One problem per line, and each line stands alone.
    for line in wrong.to_string().lines() {
        eprintln!("error: {line}");
    }
    ExitCode::from(WRONG_USAGE)
}
