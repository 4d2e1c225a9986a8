//! `snat-ctl check`: everything that would keep the gateway from working, before anything is touched.

use std::{fmt::Write as _, process::ExitCode};

use serde::Serialize;

use crate::{
    check::{self, Finding, Severity},
    cli::{Global, check::CheckArgs},
    config::File,
    output,
};

const FOUND_A_PROBLEM: u8 = 3;

/// Prints the findings; exits 3 if one is fatal.
///
/// # Errors
///
/// When the configuration is wrong or standard output cannot be written.
pub fn execute(global: &Global, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let file = File::load_for(&args.config, global.name.as_deref())?;
    let findings = check::all(&file);
    let report = Report {
        instance: &file.name,
        ready: findings
            .iter()
            .all(|finding| finding.severity < Severity::Fatal),
        warnings: &file.warnings,
        findings: &findings,
    };
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&table(&report))?;
    }
    Ok(if report.ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND_A_PROBLEM)
    })
}

/// The JSON form, whose names are part of the contract.
#[derive(Serialize)]
struct Report<'a> {
    instance: &'a str,
    ready: bool,
    /// Of the configuration, each with file, line and key.
    warnings: &'a [String],
    findings: &'a [Finding],
}

fn table(report: &Report<'_>) -> String {
    let width = report
        .findings
        .iter()
        .map(|finding| finding.id.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    let mut row = |severity: Severity, id: &str, body: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:5}  {id:width$}  {body}", severity.name());
    };
    for warning in report.warnings {
        row(Severity::Warn, "config", warning);
    }
    for finding in report.findings {
        let indent = " ".repeat(5 + 2 + width + 2);
        let body = finding
            .to_string()
            .replace("\n    ", &format!("\n{indent}"));
        row(finding.severity, finding.id, &body);
    }
    let count = |severity| {
        report
            .findings
            .iter()
            .filter(|f| f.severity == severity)
            .count()
    };
    let (fatal, warn) = (
        count(Severity::Fatal),
        count(Severity::Warn) + report.warnings.len(),
    );
    let outcome = if report.ready { "ready" } else { "not ready" };
    let _ = writeln!(
        text,
        "\n{}: {outcome}, {fatal} fatal, {warn} to look at",
        report.instance
    );
    text
}

#[cfg(test)]
mod tests {
    use super::{Finding, Report, Severity, table};

    #[test]
    fn the_table_lines_reasons_and_remedies_up_under_what_was_found() {
        let finding = |severity, id, why: Option<&str>| Finding {
            id,
            severity,
            subject: None,
            what: "what".to_owned(),
            why: why.map(str::to_owned),
            fix: why.map(|_| "do".to_owned()),
        };
        let findings = [
            finding(Severity::Ok, "a.long.id", None),
            finding(Severity::Fatal, "b", Some("so")),
        ];
        let warnings = ["t.toml:1: x".to_owned()];
        let report = Report {
            instance: "default",
            ready: false,
            warnings: &warnings,
            findings: &findings,
        };
        let wanted = "\
warn   config     t.toml:1: x
ok     a.long.id  what
fatal  b          what
                  why: so
                  fix: do

default: not ready, 1 fatal, 1 to look at
";
        assert_eq!(table(&report), wanted);
    }
}
