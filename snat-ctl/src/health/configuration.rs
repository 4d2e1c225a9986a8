//! The configuration: what is at work is what the file says.

use std::fs;

use super::Problem;
use crate::{
    instance::{self, Record},
    last_errors::seconds,
};

pub(super) fn problems(name: &str) -> Vec<Problem> {
    let Some(record) = Record::read(name) else {
        return Vec::new();
    };
    [
        unfinished(name, &record),
        refused(&record),
        changed(&record),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn unfinished(name: &str, record: &Record) -> Option<Problem> {
    // While the daemon starts, or changes something, that is no problem.
    (record.unfinished && instance::daemon(name).is_none()).then(|| {
        Problem::degraded(
            "config.unfinished",
            "a change of the configuration was interrupted: at work is the old one, the new one, or some of both",
            format!("snat-ctl apply --config {}", record.config.display()),
        )
    })
}

fn refused(record: &Record) -> Option<Problem> {
    let why = record.refused.as_ref()?;
    Some(Problem::degraded(
        "config.refused",
        format!("the daemon was told to read its file again, and refused it: {why}"),
        "correct the file, then snat-ctl apply; what was at work before still is",
    ))
}

fn changed(record: &Record) -> Option<Problem> {
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
            format!("{path} has changed since it was applied"),
            format!(
                "snat-ctl apply --config {path} --dry-run shows what that changes; without --dry-run it is applied"
            ),
        )
    })
}
