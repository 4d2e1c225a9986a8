//! A clean Debian with systemd, of the release and from the sources that this machine uses.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::super::emptied;
use crate::cargo;

/// What a server has besides the essential packages, as far as it matters here.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,nftables";
const RELEASE: &str = "/etc/os-release";
const SOURCES: [&str; 2] = ["/etc/apt/sources.list", "/etc/apt/sources.list.d"];

/// The archive in `folder`, made if it is not there: a minute.
pub(super) fn archive(folder: &Path) -> Result<PathBuf> {
    let release = release()?;
    let archive = folder.join(format!("clean-{release}.tar"));
    if archive.exists() {
        return Ok(archive);
    }
    eprintln!("making a clean {release} to try the package on (a minute; kept)");
    let partial = folder.join(format!("partial-{release}.tar"));
    let mut make = Command::new("mmdebstrap");
    make.args(["--quiet", "--variant=minbase", "--include", PACKAGES])
        .arg(&release)
        .arg(&partial)
        .args(sources()?);
    cargo::run(&mut make)?;
    fs::rename(&partial, &archive)
        .with_context(|| format!("renaming {} failed", partial.display()))?;
    Ok(archive)
}

/// Unpacks it.
pub(super) fn unpack(archive: &Path, root: &Path) -> Result<()> {
    emptied(root)?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--numeric-owner", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(root);
    cargo::run(&mut tar)
}

fn release() -> Result<String> {
    let text = fs::read_to_string(RELEASE).with_context(|| format!("reading {RELEASE} failed"))?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(str::to_owned)
        .with_context(|| format!("{RELEASE} names no release"))
}

fn sources() -> Result<Vec<PathBuf>> {
    let [file, folder] = SOURCES.map(PathBuf::from);
    let mut sources: Vec<_> = file.exists().then_some(file).into_iter().collect();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let known = path.extension().and_then(|extension| extension.to_str());
        if matches!(known, Some("list" | "sources")) {
            sources.push(path);
        }
    }
    ensure!(!sources.is_empty(), "apt has no sources here");
    Ok(sources)
}
