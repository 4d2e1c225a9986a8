//! `cargo xtask test`: what must hold before a change is shared.

use std::{
    env,
    io::{IsTerminal, stdout},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    cargo::{self, cargo},
    components, setup,
    tally::Tally,
};

/// Packages whose tests need neither root nor a network.
const HOST: [&str; 5] = [
    "ebpf-build",
    "snat-bench",
    "snat-common",
    "snat-ctl",
    "xtask",
];
/// The package whose tests load BPF programs and make namespaces.
const KERNEL: &str = "snat-tests";

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests with NAME in their path, and no lints
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
}

/// Runs everything; the last line is the count over all test programs.
pub(crate) fn main(args: &Args) -> Result<()> {
    if args.filter.is_none() {
        components::require()?;
    }
    setup::ensure()?;
    setup::ensure_for_tests()?;
    if args.filter.is_none() {
        lint()?;
    }

    let snat_ctl = cargo::build(cargo("build").args(["--package", "snat-ctl"]))?;
    let snat_ctl = snat_ctl.first().context("cargo built no snat-ctl")?;
    let suites = cargo::build(cargo("test").args(["--no-run", "--package", KERNEL]))?;

    let mut tally = Tally::default();
    tally.run(&mut host(args))?;
    let mut kernel =
        Command::new(env::current_exe().context("finding this program's file failed")?);
    kernel
        .arg("run-suites")
        .arg("--snat-ctl")
        .arg(&snat_ctl.executable);
    if let Some(cache) = ebpf_build::cache() {
        kernel.arg("--cache").arg(cache);
    }
    if let Some(filter) = &args.filter {
        kernel.args(["--filter", filter]);
    }
    if stdout().is_terminal() {
        kernel.arg("--color");
    }
    kernel.args(
        suites
            .iter()
            .filter(|suite| suite.test)
            .map(|suite| &suite.executable),
    );
    tally.run(&mut kernel)?;

    println!();
    if let Some(note) = tally.note() {
        println!("{note}");
    }
    println!("{tally}");
    ensure!(tally.failed == 0, "tests failed; see above");
    ensure!(tally.passed > 0, "no test ran: nothing has that name");
    Ok(())
}

fn lint() -> Result<()> {
    cargo::run(cargo("fmt").args(["--all", "--check"]))?;
    // snat-ebpf is linted as a program of the host: its target needs a compiler that has no clippy.
    cargo::run(cargo("clippy").args(["--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn host(args: &Args) -> Command {
    let mut command = cargo("test");
    command
        .arg("--no-fail-fast")
        .args(HOST.iter().flat_map(|package| ["--package", package]))
        .arg("--");
    if stdout().is_terminal() {
        command.arg("--color=always");
    }
    command.args(&args.filter);
    command
}
