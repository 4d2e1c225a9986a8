//! The daemon's side of a change of the configuration: also what only a running process has is changed with it.

use super::{Daemon, Metrics, open_log};
use crate::{
    apply::{Outcome, Prepared},
    config::{Config, ConfigError, File},
    control::{Answer, Request},
    instance::Record,
    log::Sink,
    output::told,
};

impl Daemon {
    /// Does what is asked.
    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        let Request::Apply {
            path,
            text,
            dry_run,
        } = request;
        let done = File::parse(text, path)
            .map_err(anyhow::Error::from)
            .and_then(|file| self.apply(file, *dry_run));
        match done {
            Ok(outcome) => Answer::Applied(outcome),
            Err(error) => refused(&error),
        }
    }

    fn apply(&mut self, file: File, dry_run: bool) -> anyhow::Result<Outcome> {
        let prepared = Prepared::new(&self.config.gateway.name, file)?;
        if dry_run {
            return prepared.outlook();
        }
        let Some(config) = prepared.new.gateway.clone() else {
            return prepared.outlook();
        };
        if prepared.is_nothing() {
            self.note_the_file(&config)?;
            return prepared
                .outlook()
                .map(|outcome| Outcome { dry_run, ..outcome });
        }
        // What may be refused is had before anything is changed.
        let logs_elsewhere = config.log != self.config.log;
        let sink = config.log.as_ref().filter(|_| logs_elsewhere);
        let sink = sink.map(Sink::open).transpose()?;
        let metrics = Metrics::prepare(self.metrics.as_ref(), config.metrics)?;
        let done = prepared.carry_out()?;
        if let Some(up) = done.up {
            self.take(up);
        }
        if logs_elsewhere {
            // First, so that what it had not written yet comes before.
            self.log = None;
            self.log = open_log(&config, sink)?;
        }
        metrics.begin(&mut self.metrics, &config.gateway.name, &self.vitals)?;
        self.config = config;
        Ok(done.outcome)
    }

    /// The same is in another file, or the file was touched: what is compared with it has to know.
    fn note_the_file(&self, config: &Config) -> anyhow::Result<()> {
        let fresh = Record::of(config);
        Record::update(&config.gateway.name, |record| {
            record.config = fresh.config;
            record.config_modified = fresh.config_modified;
            record.refused = None;
        })
    }
}

/// The answer to what failed.
fn refused(error: &anyhow::Error) -> Answer {
    Answer::Refused {
        configuration: error.is::<ConfigError>(),
        message: error
            .downcast_ref::<ConfigError>()
            .map_or_else(|| told(error), ToString::to_string),
    }
}
