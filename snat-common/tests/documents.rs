//! What the documents say of the engine is what the engine says of itself.

use snat_common::{Action, Verdict};

const PACKET_PATH: &str = include_str!("../../docs/packet-path.md");

#[test]
fn docs_list_every_verdict() {
    let (_, section) = PACKET_PATH
        .split_once("\n## All verdicts\n")
        .expect("the section of the table");
    let listed: Vec<_> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let wanted: Vec<_> = Verdict::ALL.iter().copied().map(row).collect();
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
    };
    let meaning = verdict.describe().trim();
    format!("| `{}` | {action} | {meaning} |", verdict.name())
}
