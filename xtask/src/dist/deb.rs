//! The Debian package of a [`Stage`], by Debian's own `dpkg-deb`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    DEBIAN, emptied, said,
    stage::{Stage, write},
};
use crate::cargo;

/// dpkg runs these.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// A built package.
pub(crate) struct Package {
    /// The file.
    pub(crate) file: PathBuf,
    /// Its version.
    pub(crate) version: String,
}

/// Builds it into `folder`.
pub(super) fn build(stage: &Stage, version: &str, folder: &Path) -> Result<Package> {
    build_as(stage, version, folder, "xz")
}

fn build_as(stage: &Stage, version: &str, folder: &Path, compression: &str) -> Result<Package> {
    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    control(stage, version, architecture)?;
    fs::create_dir_all(folder).with_context(|| format!("creating {} failed", folder.display()))?;
    let file = folder.join(format!("snat-ctl_{version}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--root-owner-group", "-Z", compression, "--build"])
        .arg(&stage.root)
        .arg(&file)
        .env("SOURCE_DATE_EPOCH", stage.time.to_string());
    said(&mut build)?;
    Ok(Package {
        file,
        version: version.to_owned(),
    })
}

/// What dpkg reads of the package before its files.
fn control(stage: &Stage, version: &str, architecture: &str) -> Result<()> {
    let folder = stage.root.join("DEBIAN");
    emptied(&folder)?;
    let source = cargo::workspace().join(DEBIAN);
    let text = |name: &str| {
        let path = source.join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {} failed", path.display()))
    };
    let (sums, kilobytes) = listed(&stage.root)?;
    let control = text("control")?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@INSTALLED_SIZE@", &kilobytes.to_string());
    write(&folder.join("control"), &control, 0o644)?;
    write(&folder.join("conffiles"), &text("conffiles")?, 0o644)?;
    write(&folder.join("md5sums"), &sums, 0o644)?;
    for script in SCRIPTS {
        write(&folder.join(script), &text(script)?, 0o755)?;
    }
    Ok(())
}

/// The lines of `md5sums`, which leave out what the host's owner may change; and how much room all files take.
fn listed(root: &Path) -> Result<(String, u64)> {
    let mut sizes = BTreeMap::new();
    walk(root, root, &mut sizes)?;
    let kilobytes = sizes.values().map(|bytes| bytes.div_ceil(1024)).sum();
    let fixed = sizes.keys().filter(|path| !path.starts_with("etc"));
    let sums = said(Command::new("md5sum").args(fixed).current_dir(root))?;
    Ok((sums, kilobytes))
}

fn walk(root: &Path, folder: &Path, sizes: &mut BTreeMap<PathBuf, u64>) -> Result<()> {
    let reading = || format!("reading {} failed", folder.display());
    for entry in fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let relative = path.strip_prefix(root)?;
        if relative == Path::new("DEBIAN") {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, sizes)?;
        } else {
            sizes.insert(relative.to_owned(), path.metadata()?.len());
        }
    }
    Ok(())
}
