//! The program, linked statically: it runs on any distribution, whatever its C library.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::said;
use crate::cargo::{self, cargo};

/// Builds it and puts it into `folder`.
///
/// # Errors
///
/// It does not build, or needs a library of the host's.
pub(super) fn build(folder: &Path) -> Result<PathBuf> {
    let target = host()?;
    let mut build = cargo("build");
    // With a target named, the flags are the program's alone: a procedural macro cannot be static.
    build
        .args(["--release", "--package", "snat-ctl", "--target", &target])
        .env("CARGO_ENCODED_RUSTFLAGS", flags());
    let built = cargo::build(&mut build)?;
    let built = built.first().context("cargo built no snat-ctl")?;
    fs::create_dir_all(folder).with_context(|| format!("creating {} failed", folder.display()))?;
    let binary = folder.join("snat-ctl");
    fs::copy(&built.executable, &binary)
        .with_context(|| format!("copying snat-ctl to {} failed", binary.display()))?;
    ensure_static(&binary)?;
    Ok(binary)
}

/// What it says its version is.
pub(super) fn version(binary: &Path) -> Result<String> {
    let line = said(Command::new(binary).arg("--version"))?;
    let version = line.split_whitespace().nth(1);
    version
        .map(str::to_owned)
        .with_context(|| format!("`snat-ctl --version` names none: {line:?}"))
}

fn flags() -> OsString {
    let mut flags: Vec<OsString> = vec![
        "-Ctarget-feature=+crt-static".into(),
        "-Cstrip=symbols".into(),
    ];
    flags.extend(ebpf_build::nameless_paths(cargo::workspace()));
    flags.join(OsStr::new("\x1f"))
}

fn host() -> Result<String> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let about = said(rustc.arg("-vV").current_dir(cargo::workspace()))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

fn ensure_static(binary: &Path) -> Result<()> {
    let output = Command::new("ldd")
        .arg(binary)
        .env("LC_ALL", "C")
        .output()
        .context("starting ldd failed")?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    ensure!(
        text.contains("statically linked") || text.contains("not a dynamic executable"),
        "{} needs libraries of the host's: {text}",
        binary.display()
    );
    Ok(())
}
