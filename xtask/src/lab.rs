//! `cargo xtask lab`: a scenario built, driven and told; with `--keep` it stays to be walked through.
//!
//! The story is told by a second process of this program, because only a process that has not yet
//! started threads can go into a sandbox, and because that process can stay when this one returns.

mod standing;
mod tell;

use std::{
    env,
    io::{self, IsTerminal as _, Read as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::lab::{SCENARIOS, Scenario};

use crate::{cargo, setup};

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which one; without a name they are listed
    scenario: Option<String>,
    /// Leave everything standing and say how to enter it
    #[arg(long)]
    keep: bool,
    /// Print one JSON document instead of the story
    #[arg(long)]
    json: bool,
    /// The datapath, as in the configuration
    #[arg(long, default_value = "auto", value_parser = ["auto", "xdp", "xdp-generic", "tc"])]
    datapath: String,
    /// This is the process that tells the story
    #[arg(long, hide = true)]
    inside: bool,
}

/// Runs the scenario. Fails unless all that was observed is as it must be.
pub(crate) fn main(args: &Args) -> Result<()> {
    let Some(name) = &args.scenario else {
        for Scenario { name, about, .. } in SCENARIOS {
            println!("{name:16} {about}");
        }
        return Ok(());
    };
    let scenario = Scenario::find(name).with_context(|| {
        let known: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        format!(
            "there is no scenario {name:?}; there is: {}",
            known.join(", ")
        )
    })?;
    if args.inside {
        return tell::tell(scenario, args);
    }
    setup::ensure()?;
    build()?;
    again_inside("the lab did not show what it must, see above")
}

/// Builds `snat-ctl` next to this executable, where the lab looks for it.
pub(crate) fn build() -> Result<()> {
    if env::var_os("SNAT_CTL").is_some() {
        return Ok(());
    }
    let mut build = cargo::cargo("build");
    build.args(["--package", "snat-ctl"]);
    // A terminal shows how far it is; elsewhere only what goes wrong is of interest.
    if !io::stderr().is_terminal() {
        build.arg("--quiet");
    }
    cargo::run(&mut build)
}

/// Starts the process that tells, with `--inside`, and returns with its end or, if it stays, with its verdict. `wrong` is
/// the error if that is a bad one.
pub(crate) fn again_inside(wrong: &'static str) -> Result<()> {
    let (mut verdict, theirs) = UnixStream::pair()?;
    let mut child = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg("--inside")
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .context("starting the process that tells the story")?;
    let mut code = [0];
    if verdict.read_exact(&mut code).is_err() {
        code = [u8::from(!child.wait()?.success())];
    }
    ensure!(code == [0], wrong);
    Ok(())
}
