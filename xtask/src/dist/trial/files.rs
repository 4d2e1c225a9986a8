//! Which files a root has.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// What dpkg and systemd write of their own, whatever is installed.
const OTHERS: [&str; 5] = [
    "var/lib/dpkg",
    "var/lib/systemd",
    "var/log/journal",
    "var/log/dpkg.log",
    "var/cache",
];

/// All but [`OTHERS`], relative to the root.
pub(super) fn list(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    walk(root, root, &mut files)?;
    Ok(files)
}

fn walk(root: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let reading = || format!("reading {} failed", folder.display());
    for entry in fs::read_dir(folder).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let path = entry.path();
        let relative = path.strip_prefix(root)?.to_owned();
        if OTHERS.iter().any(|other| relative == Path::new(other)) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(root, &path, files)?;
        }
        files.insert(relative);
    }
    Ok(())
}
