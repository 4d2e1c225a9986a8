//! What an instance leaves under `/run/snat`: who runs it, and what it was told.
//!
//! The datapath needs none of it. It is there so that a second `run` of the same name is refused, and
//! so that `status` can speak of the configuration in its own words.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    datapath::{Attached, Pins, clsact},
    last_errors::seconds,
    netns, state_file,
};

const DIR: &str = "/run/snat";
/// How the file ends by which the reader of reports is told.
const REPORTS: &str = "drops.lock";
/// How long a daemon may take to leave.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a command may hold the lock to look.
const BLINK: Duration = Duration::from_millis(300);

/// A right that one process has at a time, for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes the right to be the daemon of an instance.
    ///
    /// # Errors
    ///
    /// When another process holds it, named by its id; or the file can't be made.
    pub fn take(name: &str) -> anyhow::Result<Self> {
        Self::of_file(&file(name, "lock"), |pid| {
            format!(
                "instance {name:?} is already running (process {pid}); stop it first, or give this one another gateway.name"
            )
        })
    }

    /// Takes the right to read the packets that an instance drops: each is reported once, to one reader.
    ///
    /// # Errors
    ///
    /// As [`Lock::take`].
    pub fn take_reports(name: &str) -> anyhow::Result<Self> {
        Self::of_file(&file(name, REPORTS), |pid| {
            format!(
                "the drops of instance {name:?} are watched already (process {pid}), and only one can; end that one first, or read what it shows"
            )
        })
    }

    fn of_file(path: &Path, held_by: impl Fn(&str) -> String) -> anyhow::Result<Self> {
        fs::create_dir_all(DIR).with_context(|| format!("cannot make the directory {DIR}"))?;
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path);
        let open = open.with_context(|| format!("cannot open {}", path.display()))?;
        let mut lock = match lock_soon(open) {
            Ok(lock) => lock,
            Err(mut held) => {
                let mut pid = String::new();
                let _ = held.read_to_string(&mut pid);
                bail!(held_by(pid.trim()));
            }
        };
        let written = lock.set_len(0).and_then(|()| lock.rewind());
        written
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("cannot write to {}", path.display()))?;
        Ok(Self { _file: lock })
    }
}

/// Another command may hold the lock for the moment it takes to look.
fn lock_soon(mut file: File) -> Result<Flock<File>, File> {
    let deadline = Instant::now() + BLINK;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((held, _)) if Instant::now() > deadline => return Err(held),
            Err((held, _)) => file = held,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The daemon's process, if one holds the lock.
#[must_use]
pub fn daemon(name: &str) -> Option<i32> {
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file(name, "lock"))
        .ok()?;
    // Read only once the lock is known to be held: what a former daemon has left is no process of ours.
    let (mut held, _) = Flock::lock(open, FlockArg::LockExclusiveNonblock).err()?;
    let mut pid = String::new();
    held.read_to_string(&mut pid).ok()?;
    pid.trim().parse().ok()
}

/// Asks the daemon to leave and waits until it has. True if there was one.
///
/// # Errors
///
/// When it can't be signalled or does not leave in time.
pub fn stop_daemon(name: &str) -> anyhow::Result<bool> {
    let Some(pid) = daemon(name) else {
        return Ok(false);
    };
    kill(Pid::from_raw(pid), Signal::SIGTERM)
        .with_context(|| format!("cannot stop the daemon of instance {name:?} (process {pid})"))?;
    let deadline = Instant::now() + PATIENCE;
    while daemon(name) == Some(pid) {
        if Instant::now() > deadline {
            bail!(
                "the daemon of instance {name:?} (process {pid}) did not leave within {} s of SIGTERM; stop it and try again",
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(true)
}

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
    /// Names of the SNAT entries, in the order of the datapath's.
    pub entries: Vec<String>,
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
            interfaces: Vec::new(),
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
    for suffix in ["json", "lock", "errors", REPORTS] {
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
