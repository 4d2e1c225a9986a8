//! What was put right last, for `status`.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    eni::{Store, store},
    state_file,
};

const REMEMBERED: usize = 20;

/// The last repairs, the newest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Repairs(Vec<Repair>);

#[derive(Debug, Serialize, Deserialize)]
struct Repair {
    /// Milliseconds of `CLOCK_BOOTTIME`.
    at: u64,
    what: String,
}

impl Repairs {
    /// One that was made now.
    pub(super) fn add(&mut self, what: String) {
        let at = store::now();
        self.0.insert(0, Repair { at, what });
        self.0.truncate(REMEMBERED);
    }

    /// Has `status` see them.
    ///
    /// # Errors
    ///
    /// The failing file operation.
    pub(super) fn write(&self, store: &Store) -> anyhow::Result<()> {
        state_file::write(&file(store), self)
    }
}

/// What the keeper repaired last, for `status`.
///
/// # Errors
///
/// When the file can't be read.
pub fn repairs(store: &Store) -> anyhow::Result<Vec<String>> {
    let repairs: Option<Repairs> = state_file::read(&file(store))?;
    let ago = |at: u64| {
        let seconds = store::now().saturating_sub(at) / 1000;
        humantime::format_duration(Duration::from_secs(seconds)).to_string()
    };
    let repairs = repairs.unwrap_or_default().0;
    Ok(repairs
        .iter()
        .map(|repair| format!("{} ago: {}", ago(repair.at), repair.what))
        .collect())
}

fn file(store: &Store) -> PathBuf {
    store.path("repairs")
}
