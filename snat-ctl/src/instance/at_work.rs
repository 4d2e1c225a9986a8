//! The configuration that is at work: its text is kept, so that whoever changes it knows what it was.

use std::{fs, time::SystemTime};

use anyhow::Context as _;

use super::{Record, file};
use crate::{config::File, last_errors::seconds};

/// How the file ends that has the text.
pub(super) const TEXT: &str = "toml";

/// What is known of the configuration at work.
#[derive(Clone, Debug, Default)]
pub struct AtWork {
    /// What was applied last; `None` where nothing is kept, or by a version whose files this one refuses.
    pub file: Option<File>,
    /// A change of it began and was not finished.
    pub unfinished: bool,
}

impl AtWork {
    /// Reads it.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let record = Record::read(name);
        let text = fs::read_to_string(file(name, TEXT)).ok();
        let path = record.as_ref().map(|record| record.config.clone());
        let parsed = text.and_then(|text| File::parse(&text, &path.unwrap_or_default()).ok());
        Self {
            file: parsed,
            unfinished: record.is_some_and(|record| record.unfinished),
        }
    }

    /// A start is done: from here on this is at work.
    ///
    /// # Errors
    ///
    /// The failing file operation.
    pub fn settle(name: &str, text: &str) -> anyhow::Result<()> {
        Self::keep(name, text)?;
        Record::update(name, |record| {
            record.unfinished = false;
            record.applied = Some(seconds(SystemTime::now()));
        })
    }

    /// Keeps the text of what is at work from now on, whole or not at all.
    ///
    /// # Errors
    ///
    /// The failing file operation.
    pub fn keep(name: &str, text: &str) -> anyhow::Result<()> {
        let path = file(name, TEXT);
        let new = path.with_extension("toml.new");
        fs::create_dir_all(super::DIR)
            .and_then(|()| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot keep the configuration in {}", path.display()))
    }
}
