//! What the program prints of itself: manual pages and completions.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::said;
use crate::cargo;

/// Where each shell looks for what packages bring.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/snat-ctl"),
    ("zsh", "usr/share/zsh/vendor-completions/_snat-ctl"),
    ("fish", "usr/share/fish/vendor_completions.d/snat-ctl.fish"),
];
const MANUAL: &str = "usr/share/man/man1";

/// Writes them into the folder that will be the host's root.
pub(super) fn write(binary: &Path, root: &Path) -> Result<()> {
    let manual = root.join(MANUAL);
    fs::create_dir_all(&manual).with_context(|| format!("creating {} failed", manual.display()))?;
    said(Command::new(binary).arg("man").arg(&manual))?;
    let mut pages = Vec::new();
    for page in fs::read_dir(&manual)? {
        pages.push(page?.path());
    }
    // Without the time and name of the file: the same page gives the same bytes.
    cargo::run(Command::new("gzip").args(["-9", "--no-name"]).args(&pages))?;
    for (shell, place) in SHELLS {
        let script = said(Command::new(binary).args(["completions", shell]))?;
        let file = root.join(place);
        let folder = file.parent().context("no folder")?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&file, script))
            .with_context(|| format!("writing {} failed", file.display()))?;
    }
    Ok(())
}
