//! The files that stay.

use std::{env, fs, os::unix::fs::chown, path::Path};

use anyhow::{Context as _, Result};

/// Writes a file, which belongs to whoever called sudo.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    let id = |name| env::var(name).ok()?.parse().ok();
    if let (Some(user), Some(group)) = (id("SUDO_UID"), id("SUDO_GID")) {
        for path in path.parent().into_iter().chain([path]) {
            chown(path, Some(user), Some(group))
                .with_context(|| format!("giving {} to user {user}", path.display()))?;
        }
    }
    eprintln!("wrote {}", path.display());
    Ok(())
}
