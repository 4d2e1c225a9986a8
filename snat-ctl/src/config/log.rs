//! Section `[log]`.

use std::path::PathBuf;

use toml::de::DeValue;

use super::{Log, LogTo, report::Report, section::Section, section::not_a, values};

const TO: &str =
    "\"journal\" or the absolute path of a file such as \"/var/log/snat/mappings.jsonl\"";
const DESTINATIONS: &str = "true or false";

pub(super) fn log(root: &Section<'_>, report: &mut Report<'_>) -> Option<Log> {
    let section =
        root.get("log", report)?
            .section(&["mappings", "destinations"], "section [log]", report)?;
    let to = section.require("mappings", TO, report)?;
    let to = to.parse(target, report);
    let destinations = section.optional("destinations", truth, report);
    Some(Log {
        to: to?,
        destinations: destinations.unwrap_or(false),
    })
}

fn target(value: &DeValue<'_>) -> Result<LogTo, String> {
    match values::text(value, TO)? {
        "journal" => Ok(LogTo::Journal),
        path if path.starts_with('/') && !path.ends_with('/') => {
            Ok(LogTo::File(PathBuf::from(path)))
        }
        other => Err(format!("{other:?} is neither; accepted: {TO}")),
    }
}

fn truth(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| not_a(value, DESTINATIONS))
}
