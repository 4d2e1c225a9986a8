//! What an instance leaves under `/run/snat`: who runs it, and what it was told.
//!
//! The datapath needs none of it. It is there so that a second `run` of the same name is refused, and
//! so that `status` can speak of the configuration in its own words.

mod at_work;
mod lock;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use self::at_work::AtWork;
pub use self::lock::{Lock, daemon, stop_daemon};
use self::{at_work::TEXT, lock::REPORTS};
use crate::{
    config::Config,
    datapath::{Attached, Pins, clsact},
    last_errors::seconds,
    netns, state_file,
};

const DIR: &str = "/run/snat";
/// How the socket's name ends by which the daemon is asked.
pub(crate) const SOCKET: &str = "sock";

/// What `run` was told and did, for `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The configuration file.
    pub config: PathBuf,
    /// When that was last changed before it was read: seconds since 1970, UTC.
    #[serde(default)]
    pub config_modified: Option<u64>,
    /// Cookie of the network namespace that it runs in.
    #[serde(default)]
    pub netns: Option<u64>,
    /// Names of the SNAT entries, in the file's order.
    pub entries: Vec<String>,
    /// Index of each in the datapath's map `ENTRIES`.
    #[serde(default)]
    pub slots: Vec<u32>,
    /// When the configuration was last applied: seconds since 1970, UTC.
    #[serde(default)]
    pub applied: Option<u64>,
    /// Whether a change of the configuration began and is not done: at work is the old one, the new one, or some of both.
    #[serde(default)]
    pub unfinished: bool,
    /// Why a file was refused that the daemon was told to read since then.
    #[serde(default)]
    pub refused: Option<String>,
    /// The interfaces.
    pub interfaces: Vec<RecordedInterface>,
}

/// An interface as it was attached to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordedInterface {
    /// Its name.
    pub name: String,
    /// `xdp`, `xdp-generic` or `tc`.
    pub mode: String,
    /// Whether TC is a filter on clsact, which has no pin.
    pub clsact: bool,
    /// Why not faster, where `auto` had to choose.
    pub reason: Option<String>,
}

impl RecordedInterface {
    /// One that is about to be attached to, or that was once.
    #[must_use]
    pub fn unattached(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            mode: "none".to_owned(),
            clsact: false,
            reason: None,
        }
    }
}

impl From<&Attached> for RecordedInterface {
    fn from(attached: &Attached) -> Self {
        let Attached {
            interface,
            mode,
            clsact,
            reason,
        } = attached;
        Self {
            name: interface.clone(),
            mode: mode.to_string(),
            clsact: *clsact,
            reason: reason.clone(),
        }
    }
}

impl Record {
    /// Of a configuration, before anything is attached.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            config: fs::canonicalize(&config.path).unwrap_or_else(|_| config.path.clone()),
            config_modified: config_modified(config),
            netns: netns::cookie().ok(),
            entries: config.snat.iter().map(|snat| snat.name.clone()).collect(),
            slots: Vec::new(),
            applied: None,
            unfinished: false,
            refused: None,
            interfaces: Vec::new(),
        }
    }

    /// Reads it, lets `change` at it, writes it. Nothing where there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn update(name: &str, change: impl FnOnce(&mut Self)) -> anyhow::Result<()> {
        let Some(mut record) = Self::read(name) else {
            return Ok(());
        };
        change(&mut record);
        record.write(name)
    }

    /// Whether it runs in another network namespace than this thread. No, where that can't be told.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        match (self.netns, netns::cookie()) {
            (Some(theirs), Ok(here)) => theirs != here,
            _ => false,
        }
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    ///
    /// The failing file operation.
    pub fn write(&self, name: &str) -> anyhow::Result<()> {
        state_file::write(&file(name, "json"), self)
    }

    /// Writes it beside its place and removes it again: whether [`Self::write`] would have room.
    ///
    /// # Errors
    ///
    /// The failing file operation.
    pub fn rehearse(&self, name: &str) -> anyhow::Result<()> {
        let aside = file(name, "room");
        state_file::write(&aside, self)?;
        state_file::remove(&aside).map(drop)
    }

    /// Reads it; `None` where it is not there or not readable.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        serde_json::from_slice(&fs::read(file(name, "json")).ok()?).ok()
    }
}

/// Detaches and removes everything the instance has, in the kernel and here. True if it had anything.
///
/// # Errors
///
/// The first thing that could not be removed; calling again goes on.
pub fn take_down(name: &str) -> anyhow::Result<bool> {
    for interface in recorded_interfaces(name) {
        clsact::detach(&interface)
            .with_context(|| format!("cannot remove the TC filters of {interface}"))?;
    }
    let removed = Pins::of(name).remove()?;
    forget(name)?;
    Ok(removed)
}

/// Every interface that the instance may have filters on.
#[must_use]
pub fn recorded_interfaces(name: &str) -> Vec<String> {
    let interfaces = Record::read(name)
        .map(|record| record.interfaces)
        .unwrap_or_default();
    interfaces
        .into_iter()
        .map(|interface| interface.name)
        .collect()
}

/// Whether anything of the instance is on this host.
#[must_use]
pub fn is_known(name: &str) -> bool {
    Pins::of(name).exists() || file(name, "json").exists()
}

fn config_modified(config: &Config) -> Option<u64> {
    let file = fs::metadata(&config.path).ok()?;
    file.modified().map(seconds).ok()
}

fn forget(name: &str) -> anyhow::Result<()> {
    for suffix in ["json", "lock", "errors", TEXT, SOCKET, REPORTS] {
        let path = file(name, suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    // Shared by all instances: stays while another one is there.
    let _ = fs::remove_dir(DIR);
    Ok(())
}

/// A file of the instance.
pub(crate) fn file(name: &str, suffix: &str) -> PathBuf {
    Path::new(DIR).join(format!("{name}.{suffix}"))
}
