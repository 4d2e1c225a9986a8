//! `cargo xtask dist`: what is handed to others. A static binary and a Debian package of it, in `target/dist/`.

mod binary;
mod deb;
mod pages;
mod stage;
pub(crate) mod trial;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use self::stage::Stage;
use crate::{cargo, setup};

/// The package's maintainer scripts, and what else dpkg reads.
const DEBIAN: &str = "dist/debian";

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Then install, run, upgrade and remove the package on a clean Debian that systemd has booted, with traffic
    #[arg(long)]
    test: bool,
    /// The package's version, where it is not that of the program
    #[arg(long, value_name = "VERSION")]
    package_version: Option<String>,
}

/// Builds both, and says where they are.
pub(crate) fn main(args: &Args) -> Result<()> {
    setup::ensure()?;
    if args.test {
        setup::ensure_for_trial()?;
    }
    let folder = folder();
    let binary = binary::build(&folder)?;
    let stage = Stage::make(&binary, &folder.join("stage"), time_of_source()?)?;
    let version = match &args.package_version {
        Some(version) => version.clone(),
        None => binary::version(&binary)?,
    };
    let package = deb::build(&stage, &version, &folder)?;
    println!("{}", binary.display());
    println!("{}", package.file.display());
    if args.test {
        let next = deb::build(&stage, &format!("{version}+next"), &folder.join("next"))?;
        trial::start(&package, &next)?;
    }
    Ok(())
}

/// Where all of it is put.
fn folder() -> PathBuf {
    cargo::workspace().join("target/dist")
}

/// Seconds since 1970: what every file of the package is dated, so that the same source gives the same package.
fn time_of_source() -> Result<u64> {
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    let text = match given {
        Some(text) => text,
        None => said(
            Command::new("git")
                .args(["log", "-1", "--format=%ct"])
                .current_dir(cargo::workspace()),
        )
        .context("the source's date: set SOURCE_DATE_EPOCH where there is no git repository")?,
    };
    let seconds = text.trim().parse();
    seconds.with_context(|| format!("the source's date is no number of seconds: {text:?}"))
}

/// Runs a command and returns what it printed.
fn said(command: &mut Command) -> Result<String> {
    let line = cargo::line(command);
    let output = command
        .output()
        .with_context(|| format!("starting `{line}` failed"))?;
    ensure!(
        output.status.success(),
        "`{line}` failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no text"))
}

/// An empty folder, whatever was there.
fn emptied(folder: &Path) -> Result<()> {
    let at = || format!("emptying {} failed", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(at)?;
    }
    fs::create_dir_all(folder).with_context(at)
}
