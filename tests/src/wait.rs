//! Waiting for what must happen, never longer than it may take.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// Tries until it succeeds; after `deadline`, fails with the last reason.
pub fn until<T>(deadline: Duration, what: &str, attempt: impl FnMut() -> Result<T>) -> Result<T> {
    every(Duration::from_millis(20), deadline, what, attempt)
}

/// As [`until`], with a pause of the caller's choice between two attempts: for what is measured.
pub fn every<T>(
    pause: Duration,
    deadline: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= end => {
                return Err(error).with_context(|| format!("{what}: not within {deadline:?}"));
            }
            Err(_) => thread::sleep(pause),
        }
    }
}
