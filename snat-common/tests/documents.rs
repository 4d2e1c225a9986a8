//! What the documents say of the engine is what the engine says of itself.

use snat_common::{Action, Event, Verdict};

const PACKET_PATH: &str = include_str!("../../docs/packet-path.md");

#[test]
fn docs_list_every_verdict() {
    rows_are(
        "All verdicts",
        Verdict::ALL.iter().copied().map(row).collect(),
    );
}

#[test]
fn docs_list_every_event() {
    let row = |event: &Event| format!("| `{}` | {} |", event.name(), event.describe().trim());
    rows_are("All events", Event::ALL.iter().map(row).collect());
}

/// The table in the section of that name has these rows.
fn rows_are(section: &str, wanted: Vec<String>) {
    let (_, behind) = PACKET_PATH
        .split_once(&format!("\n## {section}\n"))
        .expect("the section of the table");
    let listed: Vec<_> = behind
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(
        listed,
        wanted,
        "docs/packet-path.md should have these rows:\n{}",
        wanted.join("\n")
    );
}

fn row(verdict: Verdict) -> String {
    let action = match verdict.action() {
        Action::Pass => "pass",
        Action::Forward => "forward",
        Action::Drop => "drop",
        Action::Refuse => "refuse",
        Action::Again => "again",
        Action::Split => "split",
    };
    let meaning = verdict.describe().trim();
    format!("| `{}` | {action} | {meaning} |", verdict.name())
}
