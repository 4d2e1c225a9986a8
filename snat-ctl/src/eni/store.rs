//! What was applied in this network namespace, until it is removed or the machine restarts.
//!
//! The kernel has the rules; this has what they were made from. So `status`, `verify` and the daemon know it
//! without a file named to them, and what waits to be confirmed can be taken back by whoever comes first.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    net::IpAddr,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    fcntl::{Flock, FlockArg},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

use super::{Route, Rule};
use crate::{config::Routing, netns, state_file};

const DIR: &str = "/run/snat";
/// How long another process may change things before this one gives up.
const PATIENCE: Duration = Duration::from_secs(2);

/// The applied configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The instance it belongs to.
    pub instance: String,
    /// The file it came from.
    pub config: PathBuf,
    /// What it says.
    pub routing: Routing,
    /// Table of each interface, by its `match`: also of one that is gone for now.
    pub tables: BTreeMap<String, u32>,
    /// Next hops that were found, likewise: an interface that comes back may not have its default route yet.
    #[serde(default)]
    pub gateways: BTreeMap<String, Vec<IpAddr>>,
}

/// A change that waits to be confirmed, and what was before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// When it is taken back: milliseconds of `CLOCK_BOOTTIME`.
    pub deadline: u64,
    /// What was applied before; `None`: nothing.
    pub previous: Option<Applied>,
    /// Our rules before.
    pub rules: Vec<Rule>,
    /// Our routes before.
    pub routes: Vec<Route>,
}

impl Pending {
    /// How long until it is taken back.
    #[must_use]
    pub fn left(&self) -> Duration {
        Duration::from_millis(self.deadline.saturating_sub(now()))
    }

    /// The same in whole seconds for a person: 0 only when its time is over.
    #[must_use]
    pub fn seconds_left(&self) -> u64 {
        self.deadline.saturating_sub(now()).div_ceil(1000)
    }
}

/// Milliseconds since the machine started, sleep included: no clock that is set moves a deadline.
#[must_use]
pub fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| Duration::from(time).as_millis() as u64)
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub struct Store {
    cookie: u64,
}

/// The right to change this namespace's policy routes, for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Store {
    /// That of the thread's network namespace.
    ///
    /// # Errors
    ///
    /// When the kernel doesn't say which one that is.
    pub fn open() -> anyhow::Result<Self> {
        let cookie = netns::cookie().context(
            "cannot tell which network namespace this is (SO_NETNS_COOKIE needs Linux 5.14)",
        )?;
        Ok(Self { cookie })
    }

    /// Waits for the right to change anything; not for ever: whoever holds it may have been stopped.
    ///
    /// # Errors
    ///
    /// When the lock's file can't be made, or somebody else keeps the lock.
    pub fn lock(&self) -> anyhow::Result<Lock> {
        let path = self.path("lock");
        fs::create_dir_all(DIR).with_context(|| {
            format!("cannot make the folder {DIR}: only root changes policy routes")
        })?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                // Who may open it may lock it (flock).
                .mode(0o600)
                .open(&path)
                .with_context(|| {
                    format!(
                        "cannot open {}: only root changes policy routes",
                        path.display()
                    )
                })?;
            let Ok(file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            // Whoever had it may have removed the file.
            let current = fs::metadata(&path).map(|now| now.ino());
            if current.is_ok_and(|ino| file.metadata().is_ok_and(|held| held.ino() == ino)) {
                return Ok(Lock { _file: file });
            }
        }
        bail!(
            "another process has been changing policy routes for {} s (it holds {path}); try again, or end it: `fuser {path}` names it",
            PATIENCE.as_secs(),
            path = path.display()
        )
    }

    /// What was applied.
    ///
    /// # Errors
    ///
    /// When the file can't be read or understood.
    pub fn applied(&self) -> anyhow::Result<Option<Applied>> {
        state_file::read(&self.path("json"))
    }

    /// Notes what is applied; `None`: nothing.
    ///
    /// # Errors
    ///
    /// The failing file operation.
    pub fn set_applied(&self, applied: Option<&Applied>) -> anyhow::Result<()> {
        match applied {
            Some(applied) => state_file::write(&self.path("json"), applied),
            None => state_file::remove(&self.path("json")).map(drop),
        }
    }

    /// What waits to be confirmed.
    ///
    /// # Errors
    ///
    /// When the file can't be read or understood.
    pub fn pending(&self) -> anyhow::Result<Option<Pending>> {
        state_file::read(&self.path("pending"))
    }

    /// Notes it; `None`: confirmed, or taken back.
    ///
    /// # Errors
    ///
    /// The failing file operation.
    pub fn set_pending(&self, pending: Option<&Pending>) -> anyhow::Result<()> {
        match pending {
            Some(pending) => state_file::write(&self.path("pending"), pending),
            None => state_file::remove(&self.path("pending")).map(drop),
        }
    }

    /// Removes every file, the lock's too.
    ///
    /// # Errors
    ///
    /// The failing file operation.
    pub fn forget(&self) -> anyhow::Result<()> {
        for suffix in ["json", "pending", "repairs", "lock"] {
            state_file::remove(&self.path(suffix))?;
        }
        // Shared with the gateways' own: stays while one is there.
        let _ = fs::remove_dir(DIR);
        Ok(())
    }

    /// Where the programs that balance connections are pinned.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        Path::new("/sys/fs/bpf/snat").join(format!("eni-{}", self.cookie))
    }

    pub(super) fn path(&self, suffix: &str) -> PathBuf {
        Path::new(DIR).join(format!("eni-{}.{suffix}", self.cookie))
    }
}
