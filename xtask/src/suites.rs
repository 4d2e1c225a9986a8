//! The sandboxed part of `cargo xtask test`: runs test programs that are already built.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    cargo::workspace,
    sandbox::{self, Sandbox},
};

/// Tests at a time, per program: each has a gateway, traffic generators and captures of its own, and a
/// starved capture loses packets.
const PARALLEL: &str = "2";

/// Options of the hidden verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The gateway to test
    #[arg(long)]
    snat_ctl: PathBuf,
    /// Where `setup` has put programs; root's cache may be another
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Only tests with this in their path
    #[arg(long)]
    filter: Option<String>,
    /// Colour the results
    #[arg(long)]
    color: bool,
    /// Test programs
    programs: Vec<PathBuf>,
}

/// Runs each program, all of them even if one fails.
pub(crate) fn main(args: &Args) -> Result<()> {
    sandbox::enter(Sandbox {
        network: true,
        processes: true,
    })?;

    let mut failed = Vec::new();
    for program in &args.programs {
        let mut command = Command::new(program);
        command
            .arg(format!("--test-threads={PARALLEL}"))
            .args(&args.filter);
        if args.color {
            command.arg("--color=always");
        }
        // As cargo does: a test's working directory is its package's.
        command
            .current_dir(workspace().join("tests"))
            .env("SNAT_CTL", &args.snat_ctl);
        if let Some(cache) = &args.cache {
            command.env(snat_tests::program::CACHE, cache);
        }
        let status = command
            .status()
            .with_context(|| format!("starting {} failed", program.display()))?;
        if !status.success() {
            failed.push(format!("{} ({status})", program.display()));
        }
    }
    if !failed.is_empty() {
        bail!("test programs failed: {}", failed.join(", "));
    }
    Ok(())
}
