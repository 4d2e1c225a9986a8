//! The thread that makes lines of records.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use snat_common::Event;

use super::{
    LogError, Sink,
    line::{Line, News},
};
use crate::{
    datapath::{Clock, LogRing, MapError, Pins, event_count, owners},
    last_errors,
};

/// Time between two looks at the ring: no packet has to wake anybody.
const PACE: Duration = Duration::from_millis(50);
/// Most records taken in one look, as many as the ring has room for: they may come faster than they are written, and
/// losses, a new file and the end are looked after between two looks.
const MOST: usize = 26_214;
/// Time between two looks at the file's name.
const FOLLOW: Duration = Duration::from_secs(1);
/// Least time between two lines about losses, after each of which all that lives is written anew; and between two
/// warnings of one kind.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Reader {
    sink: Sink,
    ring: LogRing,
    pins: Pins,
    instance: String,
    all: bool,
    /// Why all that lives is to be written.
    begin: Option<&'static str>,
    /// Records lost, as far as the log says.
    told: u64,
    lost_told: Option<Instant>,
    followed: Instant,
    warned: Option<Instant>,
}

/// Why a turn could not be finished; the next one goes on.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    #[error(transparent)]
    Map(#[from] MapError),
}

impl Reader {
    pub(super) fn new(sink: Sink, pins: Pins, instance: &str, all: bool) -> Result<Self, LogError> {
        Ok(Self {
            sink,
            ring: LogRing::open(&pins)?,
            told: event_count(&pins, Event::LogLost)?,
            pins,
            instance: instance.to_owned(),
            all,
            begin: Some("log_started"),
            lost_told: None,
            followed: Instant::now(),
            warned: None,
        })
    }

    /// Until the other end of `stop` is dropped.
    pub(super) fn work(&mut self, stop: &Receiver<()>) {
        self.turn_or_warn();
        while stop.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
            self.turn_or_warn();
        }
        self.turn_or_warn();
        if let Err(error) = self.end() {
            self.warn(&error.to_string());
        }
        let waiting = self.sink.waiting();
        if waiting > 0 {
            self.warned = None;
            self.warn(&format!("{waiting} lines were never written"));
        }
    }

    fn turn_or_warn(&mut self) {
        if let Err(error) = self.turn() {
            self.warn(&error.to_string());
        }
    }

    /// Nothing is taken from the ring that cannot be written: there it waits, and what it has no room for is counted.
    fn turn(&mut self) -> Result<(), TurnError> {
        if self.followed.elapsed() >= FOLLOW {
            self.followed = Instant::now();
            if self.sink.follow()? {
                self.begin = Some("log_started");
            }
        }
        self.sink.flush()?;
        let clock = Clock::now();
        for _ in 0..MOST {
            let Some(record) = self.ring.take() else {
                break;
            };
            let line = Line::of(
                &self.instance,
                clock.at(record.time),
                &record,
                News::Changed,
            );
            self.sink.push(line)?;
        }
        self.tell_losses()?;
        if let Some(event) = self.begin {
            self.present(event)?;
            self.begin = None;
        }
        Ok(self.sink.flush()?)
    }

    fn tell_losses(&mut self) -> Result<(), MapError> {
        let lost = event_count(&self.pins, Event::LogLost)?;
        let recent = self.lost_told.is_some_and(|then| then.elapsed() < PAUSE);
        if lost == self.told || recent {
            return Ok(());
        }
        // Less than before: the datapath was loaded anew.
        let more = lost.checked_sub(self.told).unwrap_or(lost);
        self.told = lost;
        self.lost_told = Some(Instant::now());
        self.begin = self.begin.or(Some("records_lost"));
        let name = self.sink.name();
        let what = format!(
            "the log in {name} lacks {more} records, for which there was no room: it is written too slowly"
        );
        last_errors::warn(&self.instance, &what);
        Ok(())
    }

    /// From here on the log alone says whose each port is, whatever it said before.
    fn present(&mut self, event: &'static str) -> Result<(), TurnError> {
        let now = Clock::now().wall();
        let begin = Line::note(&self.instance, now, event, Some(self.told));
        self.sink.push(begin)?;
        let Self { sink, instance, .. } = self;
        let mut written = Ok(());
        owners(&self.pins, self.all, |record| {
            let now = Clock::now().wall();
            written = sink.push(Line::of(instance, now, &record, News::Present));
            written.is_ok()
        })?;
        Ok(written?)
    }

    /// From here on the log says nothing: who has a port may change.
    fn end(&mut self) -> Result<(), TurnError> {
        let lost = event_count(&self.pins, Event::LogLost).unwrap_or(self.told);
        let now = Clock::now().wall();
        let end = Line::note(&self.instance, now, "log_stopped", Some(lost));
        self.sink.push(end)?;
        Ok(self.sink.flush()?)
    }

    fn warn(&mut self, what: &str) {
        if self.warned.is_some_and(|then| then.elapsed() < PAUSE) {
            return;
        }
        self.warned = Some(Instant::now());
        let what = format!("the log in {}: {what}", self.sink.name());
        last_errors::warn(&self.instance, &what);
    }
}
