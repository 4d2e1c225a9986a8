//! Brings an instance that is at work to another configuration: all of it or nothing, and no packet is lost.
//!
//! The daemon does it, asked by `snat-ctl apply` or SIGHUP; without one the command does. What can be checked is checked before
//! the first write ([`Prepared::new`]); what fails after that is put back ([`Prepared::carry_out`]).

mod routes;
mod translation;

use std::time::SystemTime;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

pub use self::translation::end_what_is_left;
use self::{routes::Routes, translation::Translation};
use crate::{
    check::{self, Severity},
    config::{Change, File, difference},
    daemon::Up,
    datapath::Pins,
    instance::{AtWork, Record},
    last_errors::seconds,
    output::told,
};

/// What came of it; its JSON form is part of the contract.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The instance.
    pub name: String,
    /// Whether it was only asked what would change.
    pub dry_run: bool,
    /// What the new configuration changes.
    pub changes: Vec<Change>,
    /// Whether a change that was interrupted before is brought to its end with this one.
    pub interrupted: bool,
    /// Whether it is not known what was at work, so that all of the file is applied.
    pub unknown: bool,
    /// Flows that were ended, or would be: they are not allowed any more.
    pub flows_ended: u64,
    /// What deserves a word.
    pub warnings: Vec<String>,
}

impl Outcome {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.changes.is_empty() && !self.interrupted && !self.unknown
    }
}

/// A change that has passed every check; nothing is written yet.
pub struct Prepared {
    /// What is to be at work.
    pub new: File,
    before: AtWork,
    changes: Vec<Change>,
    warnings: Vec<String>,
    translation: Option<Translation>,
    routes: Routes,
}

/// What a change leaves to whoever runs the instance.
pub struct Done {
    /// What came of it.
    pub outcome: Outcome,
    /// Set where programs were attached anew.
    pub up: Option<Up>,
}

impl Prepared {
    /// Compares the file with what is at work, and checks all that can be checked.
    ///
    /// # Errors
    ///
    /// What stands against it; nothing was changed.
    pub fn new(name: &str, new: File) -> anyhow::Result<Self> {
        if new.name != name {
            bail!(
                "{} is for instance {:?}, not for {name:?}; name another file with --config",
                new.path.display(),
                new.name
            );
        }
        let before = AtWork::read(name);
        let old = before.file.as_ref();
        let changes = old.map_or_else(Vec::new, |old| difference(old, &new));
        let mut warnings = new.warnings.clone();
        let mut translation = None;
        if let Some(config) = &new.gateway {
            let findings = check::preflight(config);
            check::refuse_fatal(&findings)?;
            let warned = findings
                .iter()
                .filter(|finding| finding.severity == Severity::Warn);
            warnings.extend(warned.map(ToString::to_string));
            let old = old.and_then(|old| old.gateway.as_ref());
            translation = Some(Translation::prepare(config, old, before.unfinished)?);
        } else if Pins::of(name).exists() {
            bail!(
                "{} has no [gateway], and the instance translates: `snat-ctl unload --name {name}` ends that; nothing was changed",
                new.path.display()
            );
        }
        Ok(Self {
            routes: Routes::prepare(&new, old, before.unfinished)?,
            new,
            before,
            changes,
            warnings,
            translation,
        })
    }

    /// What would come of it.
    ///
    /// # Errors
    ///
    /// When the flow table cannot be read.
    pub fn outlook(&self) -> anyhow::Result<Outcome> {
        let count = self.translation.as_ref().map(Translation::count_others);
        Ok(self.outcome(true, count.transpose()?.unwrap_or(0), &[]))
    }

    /// Whether nothing has to be written.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.outcome(true, 0, &[]).is_nothing()
    }

    /// Writes everything, and ends the flows that are not allowed any more.
    ///
    /// # Errors
    ///
    /// What failed; what was at work before is so again, or the error says that it is not.
    pub fn carry_out(&self) -> anyhow::Result<Done> {
        let name = &self.new.name;
        Record::update(name, |record| record.unfinished = true)?;
        let up = match self.write() {
            Ok(up) => up,
            Err(error) => return Err(self.put_back(error)),
        };
        let ended = self.translation.as_ref().map(Translation::end_others);
        let (ended, failed) = match ended.transpose() {
            Ok(ended) => (ended.unwrap_or(0), None),
            Err(error) => {
                let text = format!(
                    "the configuration is at work, but flows that it does not allow go on: {}; apply it again",
                    told(&error)
                );
                (0, Some(text))
            }
        };
        AtWork::keep(name, &self.new.text)?;
        self.note(failed.is_some())?;
        Ok(Done {
            outcome: self.outcome(false, ended, failed.as_slice()),
            up,
        })
    }

    fn write(&self) -> anyhow::Result<Option<Up>> {
        self.routes.carry_out()?;
        match &self.translation {
            Some(translation) => translation.carry_out(),
            None => Ok(None),
        }
    }

    fn put_back(&self, error: anyhow::Error) -> anyhow::Error {
        let name = &self.new.name;
        let back = || {
            self.routes.put_back()?;
            self.translation
                .as_ref()
                .map_or(Ok(()), Translation::put_back)?;
            Record::update(name, |record| record.unfinished = self.before.unfinished)
        };
        match back() {
            Ok(()) => error.context("cannot apply the configuration; the one before is at work again"),
            Err(worse) => error.context(format!(
                "cannot apply the configuration, and cannot put the one before back ({}); what is at work is some of both until `snat-ctl apply` succeeds",
                told(&worse)
            )),
        }
    }

    fn note(&self, unfinished: bool) -> anyhow::Result<()> {
        let name = &self.new.name;
        let fresh = self.new.gateway.as_ref().map(Record::of);
        Record::update(name, |record| {
            if let Some(fresh) = fresh {
                record.config = fresh.config;
                record.config_modified = fresh.config_modified;
                record.entries = fresh.entries;
            }
            record.unfinished = unfinished;
            record.refused = None;
            record.applied = Some(seconds(SystemTime::now()));
        })
        .context("the configuration is at work, but that cannot be noted")
    }

    fn outcome(&self, dry_run: bool, flows_ended: u64, warnings: &[String]) -> Outcome {
        Outcome {
            name: self.new.name.clone(),
            dry_run,
            changes: self.changes.clone(),
            interrupted: self.before.unfinished,
            unknown: self.before.file.is_none(),
            flows_ended,
            warnings: self.warnings.iter().chain(warnings).cloned().collect(),
        }
    }
}
