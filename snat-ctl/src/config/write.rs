//! Sections as a person would lay them out; values are written by the `toml` crate.

use std::fmt::{Display, Write as _};

use toml::Value;

/// Keys with their values, in order; those without one are left out.
pub(crate) type Keys = Vec<(&'static str, Option<Value>)>;

/// Adds a section behind what is there.
pub(crate) fn section(text: &mut String, header: &str, keys: Keys) {
    if !text.is_empty() {
        text.push('\n');
    }
    section_here(text, header, keys);
}

/// As [`section`], without an empty line before it.
pub(crate) fn section_here(text: &mut String, header: &str, keys: Keys) {
    let given: Vec<_> = keys
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    let width = given
        .iter()
        .map(|(key, _)| key.len())
        .max()
        .unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{header}");
    for (key, value) in given {
        let _ = writeln!(text, "{key:width$} = {value}");
    }
}

/// A list of strings, if there is anything in it.
pub(crate) fn list(items: &[impl Display]) -> Option<Value> {
    let texts: Vec<_> = items.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| Value::from(texts))
}
