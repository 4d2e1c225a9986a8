//! A wall clock that jumps, for `snat-ctl` alone.

use std::{ffi::OsString, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::netns::output;

/// What makes it; compiled by the compiler that Rust links with.
const SOURCE: &str = include_str!("../../tools/wall_clock.c");

/// The clock. Gone with its folder.
pub(super) struct WallClock(TempDir);

impl WallClock {
    /// Makes one that goes right.
    pub(super) fn new() -> Result<Self> {
        let clock = Self(TempDir::new()?);
        clock.set(0)?;
        let source = clock.0.path().join("wall_clock.c");
        fs::write(&source, SOURCE)?;
        output(
            Command::new("cc")
                .args(["-O1", "-shared", "-fPIC", "-o"])
                .arg(clock.library())
                .arg(source),
        )
        .context("compiling the wall clock")?;
        Ok(clock)
    }

    /// The variables of a process that it is for. One that is linked statically does not heed them.
    pub(super) fn variables(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.library().into()),
            ("SNAT_CLOCK", self.file().into()),
        ]
    }

    /// Sets it so many seconds before or after the machine's.
    pub(super) fn set(&self, seconds: i64) -> Result<()> {
        // Not through another file: processes have this one mapped.
        let mut file = fs::File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.file())?;
        Ok(std::io::Write::write_all(
            &mut file,
            &seconds.to_ne_bytes(),
        )?)
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("wall_clock.so")
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("offset")
    }
}
