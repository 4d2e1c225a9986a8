//! `snat-ctl check`: everything that would keep the gateway from working, before anything is touched.
//!
//! With `--fix` some of it is put right first.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use serde::Serialize;

use crate::{
    check::{
        self, Finding, Severity,
        fix::{self, Change},
    },
    cli::{Global, check::CheckArgs},
    config::File,
    output::{self, wrap},
};

const FOUND_A_PROBLEM: u8 = 3;
/// Of the table.
const WIDTH: usize = 100;

/// Prints the findings; exits 3 if one is fatal.
///
/// # Errors
///
/// When the configuration is wrong, something could not be put right, or standard output cannot be written.
pub fn execute(global: &Global, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let file = File::load_for(&args.config, global.name.as_deref())?;
    let fixed = args.fix.then(|| fix(&file, args.dry_run)).transpose()?;
    let findings = check::all(&file);
    let report = Report {
        instance: &file.name,
        fixed: fixed.as_ref(),
        ready: findings
            .iter()
            .all(|finding| finding.severity < Severity::Fatal),
        warnings: &file.warnings,
        findings: &findings,
    };
    if args.json {
        output::print_json(&report)?;
    } else {
        let fixed = fixed.as_ref().map(Fixed::lines).unwrap_or_default();
        output::print(&(fixed + &table(&report)))?;
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
    /// Only with `--fix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<&'a Fixed>,
    ready: bool,
    /// Of the configuration, each with file, line and key.
    warnings: &'a [String],
    findings: &'a [Finding],
}

/// What `--fix` did.
#[derive(Serialize)]
struct Fixed {
    /// Whether it only says what it would do.
    dry_run: bool,
    changes: Vec<Change>,
    /// Where they are kept for the next boot.
    kept_in: Option<PathBuf>,
}

fn fix(file: &File, dry_run: bool) -> anyhow::Result<Fixed> {
    let changes = file.gateway.as_ref().map(fix::plan).unwrap_or_default();
    let mut fixed = Fixed {
        dry_run,
        changes,
        kept_in: None,
    };
    if !dry_run && !fixed.changes.is_empty() {
        fix::apply(&fixed.changes)?;
        fixed.kept_in = fix::keep(&file.name, &fixed.changes)?;
    }
    Ok(fixed)
}

impl Fixed {
    fn lines(&self) -> String {
        if self.changes.is_empty() {
            return "nothing to change\n\n".to_owned();
        }
        let verb = if self.dry_run {
            "would change"
        } else {
            "changed"
        };
        let mut text = String::new();
        for change in &self.changes {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{verb} {change}");
        }
        let _ = match &self.kept_in {
            Some(path) => writeln!(text, "kept for the next boot in {}", path.display()),
            None if self.dry_run => Ok(()),
            None => writeln!(
                text,
                "not kept for the next boot: this network namespace is not the machine's"
            ),
        };
        text + "\n"
    }
}

fn table(report: &Report<'_>) -> String {
    let width = report
        .findings
        .iter()
        .map(|finding| finding.id.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    let margin = 5 + 2 + width + 2;
    let mut row = |severity: Severity, id: &str, body: &str| {
        let mut title = format!("{:5}  {id}", severity.name());
        for line in body.lines().flat_map(|line| wrap(line, WIDTH - margin)) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{title:margin$}{line}");
            title.clear();
        }
    };
    for warning in report.warnings {
        row(Severity::Warn, "config", warning);
    }
    for finding in report.findings {
        row(finding.severity, finding.id, &finding.to_string());
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
            fixed: None,
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
