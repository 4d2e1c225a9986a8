//! What is told of a soak: while it runs, and at its end.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use serde::Serialize;

use super::load::Carried;

/// A disturbance, and what was carried until then.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Since the start.
    pub elapsed: Duration,
    /// Its number; with the seed it says what was done.
    pub step: u32,
    /// What was done.
    pub what: &'static str,
    /// Until all clients reached the server again.
    pub recovery: Duration,
    /// By now.
    pub carried: Carried,
}

/// The end.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What brings the same disturbances in the same order.
    pub seed: u64,
    /// `xdp` or `tc`.
    pub datapath: String,
    /// How long the load went on.
    pub seconds: f64,
    /// Disturbances.
    pub steps: u32,
    /// How many of each kind.
    pub disturbances: BTreeMap<&'static str, u32>,
    /// The longest time after one until all clients reached the server again.
    pub longest_recovery_seconds: f64,
    /// What went through.
    pub carried: Carried,
    /// What was looked at, and whether it is as it must be.
    pub rows: Vec<Row>,
    /// What the last daemon said, if the load broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daemon_log: Option<String>,
    /// Whether all of it is.
    pub ok: bool,
}

/// Something that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What.
    pub what: &'static str,
    /// What was seen.
    pub seen: String,
    /// Whether it is as it must be.
    pub ok: bool,
}

impl Row {
    pub(super) fn new(what: &'static str, seen: impl Into<String>, ok: bool) -> Self {
        let seen = seen.into();
        Self { what, seen, ok }
    }

    /// An error is what was seen, and wrong.
    pub(super) fn of(what: &'static str, seen: Result<String>) -> Self {
        match seen {
            Ok(seen) => Self::new(what, seen, true),
            Err(error) => Self::new(what, format!("{error:#}"), false),
        }
    }
}
