//! Who is an instance's daemon, and who reads its reports: the holder of a lock, which ends with its process.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{DIR, file};

/// How the file ends by which the reader of reports is told.
pub(super) const REPORTS: &str = "drops.lock";
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
    holder(&file(name, "lock"))
}

fn holder(path: &Path) -> Option<i32> {
    let open = File::open(path).ok()?;
    // Shared: others who look are no daemon. Read only once the lock is known to be held: what a former daemon has
    // left is no process of ours.
    let (mut held, _) = Flock::lock(open, FlockArg::LockSharedNonblock).err()?;
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

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        thread,
    };

    use super::{Flock, FlockArg, holder};

    #[test]
    fn only_who_holds_the_lock_is_the_daemon_however_many_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        // A daemon that died has left its number.
        fs::write(&path, "1\n").unwrap();
        let look = || (0..2000).find_map(|_| holder(&path));
        let seen = thread::scope(|scope| {
            let lookers = [(); 4].map(|()| scope.spawn(look));
            lookers.map(|looker| looker.join().unwrap())
        });
        assert_eq!(seen, [None; 4]);

        let file = File::open(&path).unwrap();
        let daemon = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(holder(&path), Some(1));
        drop(daemon);
        assert_eq!(holder(&path), None);
    }
}
