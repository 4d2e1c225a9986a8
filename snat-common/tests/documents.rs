//! What the documents say of the engine is what the engine says of itself.

use std::collections::BTreeSet;

use snat_common::{Action, Event, Verdict, stage::Stage};

const PACKET_PATH: &str = include_str!("../../docs/packet-path.md");
const ARCHITECTURE: &str = include_str!("../../docs/architecture.md");
/// The maps themselves are the kernel home's, which builds for another target.
const MAPS: &str = include_str!("../../snat-ebpf/src/maps.rs");

#[test]
fn docs_list_every_verdict() {
    let rows: Vec<_> = Verdict::ALL.iter().copied().map(row).collect();
    rows_are("All verdicts", &rows);
}

#[test]
fn docs_list_every_event() {
    let row = |event: &Event| format!("| `{}` | {} |", event.name(), event.describe().trim());
    let rows: Vec<_> = Event::ALL.iter().map(row).collect();
    rows_are("All events", &rows);
}

#[test]
fn docs_list_every_map_and_every_stage() {
    let maps: BTreeSet<_> = MAPS
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("pub(crate) static "))
        .filter_map(|rest| rest.split(':').next())
        .collect();
    assert!(maps.contains("FLOWS"), "{maps:?}");
    assert_eq!(first_cells("Maps"), maps);
    let stages: BTreeSet<_> = Stage::ALL.iter().map(|stage| stage.program()).collect();
    let programs = first_cells("Programs");
    assert!(programs.is_superset(&stages), "{programs:?}, {stages:?}");
}

/// What stands in `code` in the first column of the table of a section of `docs/architecture.md`.
fn first_cells(section: &str) -> BTreeSet<&'static str> {
    let (_, behind) = ARCHITECTURE
        .split_once(&format!("\n## {section}\n"))
        .expect("the section of the table");
    behind
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
        .flat_map(|cell| cell.split(", "))
        .map(|name| name.trim_matches('`'))
        .collect()
}

/// The table in the section of that name has these rows.
fn rows_are(section: &str, wanted: &[String]) {
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
        Action::Hold => "hold",
    };
    let meaning = verdict.describe().trim();
    format!("| `{}` | {action} | {meaning} |", verdict.name())
}
