//! What a developer runs: `cargo xtask <verb>`.

mod apt;
mod bench;
mod cargo;
mod components;
mod dist;
mod kept;
mod lab;
mod sandbox;
mod setup;
mod soak;
mod story;
mod suites;
mod tally;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find or install all that building, the lab and the tests need
    Setup,
    /// Check formatting and lints, build, and run all tests
    Test(test::Args),
    /// Build a documented setup out of namespaces, run the gateway in it and show what happens
    Lab(lab::Args),
    /// Run the gateway under load for minutes while its daemon, configuration and network are disturbed
    Soak(soak::Args),
    /// Measure the gateway beside a bare XDP redirect and the kernel's own NAT
    Bench(bench::Args),
    /// Build what is handed to others: a static binary and a Debian package
    Dist(dist::Args),
    /// Try built packages in a sandbox (`dist --test` calls this)
    #[command(hide = true)]
    RunTrial(dist::trial::Args),
    /// Run the built bench in a sandbox (`bench` calls this)
    #[command(hide = true)]
    RunBench(bench::run::Args),
    /// Run built test programs in a sandbox (`test` calls this)
    #[command(hide = true)]
    RunSuites(suites::Args),
}

fn main() -> ExitCode {
    // Displayed, not debugged: RUST_BACKTRACE, set for the tests, must not bury the message.
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Setup => setup::main(),
        Verb::Test(args) => test::main(&args),
        Verb::Lab(args) => lab::main(&args),
        Verb::Soak(args) => soak::main(&args),
        Verb::Bench(args) => bench::main(&args),
        Verb::Dist(args) => dist::main(&args),
        Verb::RunTrial(args) => dist::trial::main(&args),
        Verb::RunBench(args) => bench::run::main(&args),
        Verb::RunSuites(args) => suites::main(&args),
    }
}
