//! A cgroup of our own, so that programs on cgroups see this process and nobody else.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount, umount};

use crate::wait;

const PREFIX: &str = "snat-test-";
const PATIENCE: Duration = Duration::from_secs(5);

/// Where this process is while a [`Cgroup`] lives.
static JOINED: Mutex<Option<Joined>> = Mutex::new(None);

/// This process in a cgroup of its own, one for all handles; with the last one it goes back, and the cgroup is removed.
#[must_use = "dropping it leaves the cgroup"]
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Moves the process, with all its threads, into the cgroup, unless it is there.
    pub fn join() -> Result<Self> {
        let mut joined = joined();
        let joined = match joined.as_mut() {
            Some(joined) => joined,
            None => joined.insert(Joined::new()?),
        };
        joined.handles += 1;
        let path = joined.path();
        Ok(Self { path })
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let mut joined = joined();
        let last = joined.take_if(|joined| {
            joined.handles -= 1;
            joined.handles == 0
        });
        if let Some(Err(error)) = last.map(Joined::leave) {
            eprintln!("leaving a cgroup behind: {error:#}");
        }
    }
}

#[derive(Debug)]
struct Joined {
    /// Not a `TempDir`: nothing must ever try to empty it.
    mount: PathBuf,
    /// Not by the process id, which another PID namespace has too.
    name: String,
    /// Relative to the mount.
    before: PathBuf,
    handles: u32,
}

impl Joined {
    fn new() -> Result<Self> {
        let text = fs::read_to_string("/proc/self/cgroup").context("reading /proc/self/cgroup")?;
        let before = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let before = before.context("the kernel has no cgroup2")?.into();
        let point = tempfile::tempdir()?.keep();
        let none = None::<&str>;
        mount(
            none,
            point.as_path(),
            Some("cgroup2"),
            MsFlags::empty(),
            none,
        )
        .context("mounting a cgroup2 file system")?;
        let joined = Self {
            mount: point,
            name: format!("{PREFIX}{:x}", fastrand::u64(..)),
            before,
            handles: 0,
        };
        wait::until(PATIENCE, "entering a cgroup of our own", || {
            joined.remove_stale();
            fs::create_dir(joined.path()).context("making a cgroup")?;
            enter(&joined.path())
        })?;
        Ok(joined)
    }

    fn path(&self) -> PathBuf {
        self.mount.join(&self.name)
    }

    /// Of processes that were killed. One that is in use cannot be removed; one that is about to be is made again.
    fn remove_stale(&self) {
        for entry in fs::read_dir(&self.mount).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                let _ = fs::remove_dir(entry.path());
            }
        }
    }

    fn leave(self) -> Result<()> {
        enter(&self.mount.join(&self.before))?;
        // A child that has just ended may be in it for another moment.
        wait::until(PATIENCE, "removing the cgroup", || {
            Ok(fs::remove_dir(self.path())?)
        })?;
        umount(&self.mount).context("unmounting the cgroup2 file system")?;
        Ok(fs::remove_dir(&self.mount)?)
    }
}

/// 0 is the caller, whatever its number in this namespace.
fn enter(cgroup: &Path) -> Result<()> {
    ensure!(cgroup.is_dir(), "no cgroup {}", cgroup.display());
    fs::write(cgroup.join("cgroup.procs"), "0")
        .with_context(|| format!("moving this process to {}", cgroup.display()))
}

fn joined() -> MutexGuard<'static, Option<Joined>> {
    JOINED.lock().unwrap_or_else(PoisonError::into_inner)
}
