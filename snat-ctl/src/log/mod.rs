//! The event log: who had which external address and port, and when (RFC 6888 REQ-12).
//!
//! The datapath puts records into the ring buffer `LOG`; a thread of the daemon makes lines of them. It has nothing else
//! to do, so that a slow disk holds up nobody: then the ring fills, and what finds no room there is counted.

mod file;
mod journal;
mod line;
mod reader;
mod sink;

use std::{
    io,
    path::PathBuf,
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use self::reader::Reader;
pub use self::sink::Sink;
use crate::datapath::{MapError, Pins};

/// How long the end of the daemon waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be written to.
    #[error(
        "cannot open the log {}: {source}; make it writable, or name another file in log.mappings; nothing was changed",
        path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No journal listens.
    #[error(
        "cannot reach systemd's journal at /run/systemd/journal/socket: {0}; name a file in log.mappings instead; nothing was changed"
    )]
    Journal(io::Error),
    /// What the datapath logs cannot be read.
    #[error(transparent)]
    Map(#[from] MapError),
    /// No thread.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(io::Error),
}

/// A log that is being written. Dropped, it writes what is left, and ends.
pub struct LogWriter {
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl LogWriter {
    /// Begins to write what the instance's datapath logs, with all flows and their destinations if `all`.
    ///
    /// # Errors
    ///
    /// [`LogError`] where the maps are not there.
    pub fn start(sink: Sink, instance: &str, all: bool) -> Result<Self, LogError> {
        let mut reader = Reader::new(sink, Pins::of(instance), instance, all)?;
        let (stop, stopped) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("snat-log".to_owned());
        thread
            .spawn(move || {
                reader.work(&stopped);
                let _ = end.send(());
            })
            .map_err(LogError::Thread)?;
        Ok(Self {
            stop: Some(stop),
            ended,
        })
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.stop.take();
        if self.ended.recv_timeout(PATIENCE).is_err() {
            eprintln!(
                "warning: the log is not written to its end: what it is written to does not answer"
            );
        }
    }
}
