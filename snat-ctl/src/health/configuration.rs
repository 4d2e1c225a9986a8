//! The configuration file: still what the daemon has read.

use std::fs;

use super::Problem;
use crate::{instance::Record, last_errors::seconds};

pub(super) fn problem(name: &str) -> Option<Problem> {
    let record = Record::read(name)?;
    let then = record.config_modified?;
    let path = record.config.display();
    let Ok(file) = fs::metadata(&record.config) else {
        return Some(Problem::notice(
            "config.gone",
            format!("{path} is not there any more: the next start would fail"),
            "put it back",
        ));
    };
    let now = file.modified().map(seconds).ok()?;
    (now != then).then(|| {
        Problem::notice(
            "config.changed",
            format!("{path} has changed since `snat-ctl run` read it"),
            format!(
                "snat-ctl check --config {path}, then restart the daemon: no flow is lost by that"
            ),
        )
    })
}
