//! Whether the daemon does its work: once a second it stamps the file that it holds the lock of.

use std::{
    fs::{self, File},
    io,
    time::{Duration, SystemTime},
};

use crate::instance;

/// Longer than any sweep of a full table takes.
pub const HUNG: Duration = Duration::from_secs(15);

/// Stamps the file.
///
/// # Errors
///
/// The failing file operation.
pub fn beat(instance: &str) -> io::Result<()> {
    let file = File::options()
        .write(true)
        .open(instance::file(instance, "lock"))?;
    file.set_modified(SystemTime::now())
}

/// How long ago the daemon last did so; of a clock that was set back, nothing.
#[must_use]
pub fn silence(instance: &str) -> Option<Duration> {
    let file = fs::metadata(instance::file(instance, "lock")).ok()?;
    file.modified().ok()?.elapsed().ok()
}

/// Whether the process is stopped by a signal or a debugger.
#[must_use]
pub fn is_stopped(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name before it may have anything in it (proc_pid_stat(5)).
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    state.starts_with(['T', 't'])
}
