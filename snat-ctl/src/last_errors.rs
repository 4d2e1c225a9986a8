//! The daemon's last warnings, for `status`: a few lines under `/run/snat` that outlive the daemon.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{instance, state_file};

/// How many are kept.
const MOST: usize = 10;

/// Something the daemon warned of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When it was last so: seconds since 1970, UTC.
    pub at: u64,
    /// How often in a row.
    pub times: u64,
    /// The line as it is in the log.
    pub text: String,
}

/// Prints the warning, and keeps it.
pub fn warn(instance: &str, text: &str) {
    eprintln!("warning: {text}");
    note(instance, text);
}

/// Keeps a line. That it cannot be kept is no reason to fail: it is in the log.
pub fn note(instance: &str, text: &str) {
    if !instance::is_known(instance) {
        return;
    }
    let _ = keep(&instance::file(instance, "errors"), text);
}

/// What is kept, the oldest first. Nothing where the file is not there or not readable.
#[must_use]
pub fn last_errors(instance: &str) -> Vec<LastError> {
    kept(&instance::file(instance, "errors"))
}

/// Seconds since 1970.
#[must_use]
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn kept(path: &Path) -> Vec<LastError> {
    state_file::read(path).ok().flatten().unwrap_or_default()
}

fn keep(path: &Path, text: &str) -> anyhow::Result<()> {
    // The daemon's threads warn at once: each is to find what the other has kept.
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut errors = kept(path);
    add(&mut errors, text, seconds(SystemTime::now()));
    state_file::write(path, &errors)
}

fn add(errors: &mut Vec<LastError>, text: &str, at: u64) {
    match errors.last_mut() {
        Some(last) if last.text == text => {
            last.at = at;
            last.times += 1;
        }
        _ => errors.push(LastError {
            at,
            times: 1,
            text: text.to_owned(),
        }),
    }
    let surplus = errors.len().saturating_sub(MOST);
    errors.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{MOST, add, keep, kept};

    #[test]
    fn of_threads_that_warn_at_once_no_line_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("errors");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| keep(&path, "the same").unwrap()));
            }
        });
        let errors = kept(&path);
        assert_eq!((errors.len(), errors[0].times), (1, 40));
    }

    #[test]
    fn the_last_few_are_kept_and_one_that_goes_on_is_one_line() {
        let mut errors = Vec::new();
        for at in 0..100 {
            add(&mut errors, "the same", at);
        }
        assert_eq!((errors.len(), errors[0].times, errors[0].at), (1, 100, 99));
        for at in 100..200 {
            add(&mut errors, &format!("line {at}"), at);
        }
        assert_eq!(errors.len(), MOST);
        assert_eq!(errors[MOST - 1].text, "line 199");
    }
}
