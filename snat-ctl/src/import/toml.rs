//! The draft as the text of a configuration file.

use std::fmt::{Display, Write as _};

use toml::Value;

use super::{
    draft::{Draft, Entry, Forward},
    ledger::{Kind, Ledger, Note},
};
use crate::config::{
    MssClamp,
    write::{list, section_here},
};

/// `[gateway]` and what follows it, each with the rules that it comes from.
pub(super) fn file(
    draft: &Draft,
    name: Option<&str>,
    interfaces: &[String],
    ledger: &Ledger,
) -> String {
    let mut text = String::from(
        "# Made by `snat-ctl import`; what is not said here is as in the sample, dist/snat.toml.\n\n",
    );
    let mss = draft.mss.map(|(mss, rule)| (mss, ledger.comment(rule)));
    comment(&mut text, mss.iter().map(|(_, rule)| rule));
    let keys = vec![
        ("name", name.map(Value::from)),
        ("interfaces", list(interfaces)),
        ("mss_clamp", mss.map(|(mss, _)| mss_value(mss))),
    ];
    section_here(&mut text, "[gateway]", keys);
    for entry in &draft.entries {
        text.push('\n');
        comment(
            &mut text,
            entry.rules.iter().map(|rule| ledger.comment(*rule)),
        );
        text.push_str(&snat(&entry.prefixes, entry));
    }
    for bypass in &draft.bypass {
        text.push('\n');
        let rule = bypass.rule.map(|rule| ledger.comment(rule));
        let routed = || "routed by interfaces that the rules do not translate for".to_owned();
        comment(&mut text, [rule.unwrap_or_else(routed)]);
        let keys = vec![("destination", list(&bypass.destination.prefixes()))];
        section_here(&mut text, "[[bypass]]", keys);
    }
    let mut last = None;
    for one in &draft.forwards {
        text.push('\n');
        if last != Some(one.rule) {
            comment(&mut text, [ledger.comment(one.rule)]);
        }
        last = Some(one.rule);
        text.push_str(&forward(one));
    }
    text
}

/// What is not in there, for the end of the file.
pub(super) fn missing(notes: &[Note]) -> String {
    let mut text = String::new();
    let mut notes = notes
        .iter()
        .filter(|note| note.kind == Kind::LeftOut)
        .peekable();
    if notes.peek().is_some() {
        text.push_str("\n# Not in here:\n");
        comment(&mut text, notes);
    }
    text
}

/// An `[[snat]]`.
pub(super) fn snat(source: &[impl Display], entry: &Entry) -> String {
    let mut text = String::new();
    let auto = ["auto".to_owned()];
    let external = entry.external.as_deref().unwrap_or(&auto);
    let keys = vec![
        ("source", list(source)),
        ("external", list(external)),
        ("ports", entry.ports.clone().map(Value::from)),
    ];
    section_here(&mut text, "[[snat]]", keys);
    text
}

/// A `[[forward]]`.
pub(super) fn forward(forward: &Forward) -> String {
    let mut text = String::new();
    let keys = vec![
        ("protocol", Some(Value::from(forward.protocol_name()))),
        ("external", Some(Value::from(forward.external.to_string()))),
        ("internal", Some(Value::from(forward.internal.to_string()))),
    ];
    section_here(&mut text, "[[forward]]", keys);
    text
}

fn mss_value(mss: MssClamp) -> Value {
    match mss {
        MssClamp::Auto => Value::from("auto"),
        MssClamp::Off => Value::from("off"),
        MssClamp::To(mss) => Value::from(i64::from(mss)),
    }
}

/// Each in a line, whatever it holds.
fn comment(text: &mut String, lines: impl IntoIterator<Item = impl Display>) {
    for line in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# {}",
            line.to_string().replace(char::is_control, " ")
        );
    }
}
