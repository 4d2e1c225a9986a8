//! Another build of `snat-ctl`, with another object in it that does the same.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempPath;

use super::{Gateway, program};

/// Files that the object's BTF names the source lines of; by another name they make another object.
const RENAMED: &str = "s#snat-ebpf/src/#snat-ebpf/srd/#g";

/// Makes one; it is gone with the result.
pub fn other_build() -> Result<TempPath> {
    let copy = tempfile::NamedTempFile::new()?;
    let mut sed = Command::new("sed");
    let made = sed
        .env("LC_ALL", "C")
        .arg(RENAMED)
        .arg(program()?)
        .stdout(copy.reopen()?)
        .status()
        .with_context(|| format!("starting {sed:?}"))?;
    ensure!(made.success(), "{sed:?} ended with {made}");
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755))?;
    Ok(copy.into_temp_path())
}

impl Gateway {
    /// From the next [`Gateway::start_again`] on, it is this build.
    pub fn set_program(&mut self, program: impl Into<std::path::PathBuf>) {
        self.program = program.into();
    }
}
