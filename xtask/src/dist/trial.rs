//! `cargo xtask dist --test`: the package on a clean Debian that systemd has booted, in the lab's network, with traffic.
//!
//! The unit runs under the very restrictions that it names, so this also shows that they leave enough to work.

mod changes;
mod debian;
mod files;
mod first;
mod machine;
mod steps;
mod stream;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, exit},
};

use anyhow::{Context as _, Result};
use snat_tests::lab::{Step, Story};

use super::deb::Package;
use crate::{
    cargo,
    sandbox::{self, Sandbox},
    story,
};

/// Options of the hidden verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// An archive of a clean Debian
    #[arg(long)]
    debian: PathBuf,
    /// Folder to unpack it in, removed at the end
    #[arg(long)]
    folder: PathBuf,
    /// The package to install
    #[arg(long)]
    package: PathBuf,
    /// Its version
    #[arg(long)]
    version: String,
    /// The package to upgrade to
    #[arg(long)]
    next: PathBuf,
    /// Its version
    #[arg(long)]
    next_version: String,
}

/// Tries `package`, then the upgrade to `next`. Fails unless all that was observed is as it must be.
pub(super) fn start(package: &Package, next: &Package) -> Result<()> {
    let folder = super::folder();
    let debian = debian::archive(&folder)?;
    let mut run = Command::new(env::current_exe().context("finding this program's file failed")?);
    run.arg("run-trial")
        .arg("--debian")
        .arg(debian)
        .arg("--folder")
        .arg(folder.join("trial"))
        .arg("--package")
        .arg(&package.file)
        .args(["--version", &package.version])
        .arg("--next")
        .arg(&next.file)
        .args(["--next-version", &next.version]);
    cargo::run(&mut run)
}

/// The trial itself. Exits with 1 if something was wrong; what it was has been told.
pub(crate) fn main(args: &Args) -> Result<()> {
    sandbox::enter(Sandbox {
        network: true,
        processes: true,
    })?;
    // systemd-nspawn puts a lock beside its root.
    let root = args.folder.join("root");
    debian::unpack(&args.debian, &root)?;
    let mut show = |number: usize, step: &Step| story::print(number, step);
    let mut told = Story::new(&mut show);
    let done = steps::all(&mut told, args, &root);
    remove(&args.folder)?;
    done?;
    story::print_summary(&told);
    exit(i32::from(!told.ok()))
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("removing {} failed", folder.display()))
}
