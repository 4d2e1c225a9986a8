//! The package's files, laid out as they will be on the host.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{DEBIAN, emptied, pages};
use crate::cargo;

/// From the source tree, and where to.
const FILES: [(&str, &str); 7] = [
    ("dist/snat.toml", "etc/snat/snat.toml"),
    ("dist/logrotate.d/snat", "etc/logrotate.d/snat"),
    (
        "dist/snat-ctl.service",
        "usr/lib/systemd/system/snat-ctl.service",
    ),
    (
        "dist/alerts.yml",
        "usr/share/doc/snat-ctl/examples/alerts.yml",
    ),
    (
        "dist/grafana-dashboard.json",
        "usr/share/doc/snat-ctl/examples/grafana-dashboard.json",
    ),
    (
        "dist/README.md",
        "usr/share/doc/snat-ctl/examples/README.md",
    ),
    (
        "dist/debian/lintian-overrides",
        "usr/share/lintian/overrides/snat-ctl",
    ),
];
/// Not every version of iproute2 brings it, and the daemon may make no folder in `/etc`.
const NAMES_OF_TABLES: &str = "etc/iproute2";
const DOCUMENTS: &str = "usr/share/doc/snat-ctl";

/// The folder, complete but for what dpkg itself reads.
pub(super) struct Stage {
    /// What will be the host's `/`.
    pub(super) root: PathBuf,
    /// What every file in it is dated: seconds since 1970.
    pub(super) time: u64,
}

impl Stage {
    /// Makes it anew.
    pub(super) fn make(binary: &Path, root: &Path, time: u64) -> Result<Self> {
        emptied(root)?;
        install(binary, &root.join("usr/bin/snat-ctl"), 0o755)?;
        for (from, to) in FILES {
            install(&cargo::workspace().join(from), &root.join(to), 0o644)?;
        }
        fs::create_dir_all(root.join(NAMES_OF_TABLES))?;
        pages::write(binary, root)?;
        documents(&root.join(DOCUMENTS))?;
        Ok(Self {
            root: root.to_owned(),
            time,
        })
    }
}

/// README, the guides and what they link to, at the same places to each other; the changelog compressed, as Debian asks.
fn documents(folder: &Path) -> Result<()> {
    let source = cargo::workspace();
    install(&source.join("README.md"), &folder.join("README.md"), 0o644)?;
    copy_documents(&source.join("docs"), &folder.join("docs"))?;
    let changelog = folder.join("changelog");
    install(&source.join("CHANGELOG.md"), &changelog, 0o644)?;
    cargo::run(
        Command::new("gzip")
            .args(["-9", "--no-name"])
            .arg(&changelog),
    )?;
    let licence = fs::read_to_string(source.join("LICENSE-MIT"))?;
    let copyright = fs::read_to_string(source.join(DEBIAN).join("copyright"))?;
    write(&folder.join("copyright"), &(copyright + &licence), 0o644)
}

fn copy_documents(from: &Path, to: &Path) -> Result<()> {
    let reading = || format!("reading {} failed", from.display());
    for entry in fs::read_dir(from).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_documents(&path, &to)?;
        } else {
            install(&path, &to, 0o644)?;
        }
    }
    Ok(())
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let doing = || format!("copying {} to {} failed", from.display(), to.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).with_context(doing)?;
    fs::copy(from, to).with_context(doing)?;
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(doing)
}

/// Writes a file of the package.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let doing = || format!("writing {} failed", path.display());
    fs::write(path, text).with_context(doing)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(doing)
}
