//! Where the log goes.

use std::io;

use super::{LogError, file::LogFile, journal::Journal, line::Line};
use crate::config::{Log, LogTo};

/// Bytes, or lines to the journal, that are gathered before they are written.
const BATCH: usize = 64 * 1024;
const LINES: usize = 256;

/// An open log.
pub struct Sink(To);

enum To {
    File(LogFile),
    Journal(Journal),
}

impl Sink {
    /// Opens what `[log]` names, and changes nothing else.
    ///
    /// # Errors
    ///
    /// [`LogError`] where it cannot be written to.
    pub fn open(log: &Log) -> Result<Self, LogError> {
        Ok(Self(match &log.to {
            LogTo::File(path) => {
                To::File(LogFile::open(path).map_err(|source| LogError::File {
                    path: path.clone(),
                    source,
                })?)
            }
            LogTo::Journal => To::Journal(Journal::open().map_err(LogError::Journal)?),
        }))
    }

    /// What it is, for messages.
    pub(super) fn name(&self) -> String {
        match &self.0 {
            To::File(file) => file.path().display().to_string(),
            To::Journal(_) => "the journal".to_owned(),
        }
    }

    /// Takes a line; writes if enough of them wait.
    pub(super) fn push(&mut self, line: Line) -> io::Result<()> {
        let full = match &mut self.0 {
            To::File(file) => {
                file.push(&line.json());
                file.waiting().len() >= BATCH
            }
            To::Journal(journal) => {
                journal.push(line);
                journal.waiting() >= LINES
            }
        };
        if full { self.flush() } else { Ok(()) }
    }

    /// Writes what waits. After an error it waits on.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            To::File(file) => file.flush(),
            To::Journal(journal) => journal.flush(),
        }
    }

    /// How many lines have not been written whole.
    pub(super) fn waiting(&self) -> usize {
        match &self.0 {
            To::File(file) => file.waiting().iter().filter(|byte| **byte == b'\n').count(),
            To::Journal(journal) => journal.waiting(),
        }
    }

    /// Goes on in a new file if the old one was moved away; says whether it was.
    pub(super) fn follow(&mut self) -> io::Result<bool> {
        match &mut self.0 {
            To::File(file) => file.follow(),
            To::Journal(_) => Ok(false),
        }
    }
}
