//! `snat-ctl eni verify`: does the kernel do what was meant?

use std::{fmt::Write as _, process::ExitCode};

use serde::Serialize;

use super::intended;
use crate::{
    cli::{
        Global,
        eni::{EniArgs, VerifyArgs},
    },
    eni::{
        Store,
        control::Prepared,
        probe::{self, Probe},
        verify::Verification,
    },
    output,
};

const FOUND_A_PROBLEM: u8 = 3;

pub(super) fn execute(
    global: &Global,
    args: &EniArgs,
    verify: &VerifyArgs,
) -> anyhow::Result<ExitCode> {
    let store = Store::open()?;
    let prepared = Prepared::new(intended(global, args, &store)?, &store, &[])?;
    let verification = Verification::new(&prepared)?;
    let probes = probe::all(&prepared.found, &verify.probe);
    let ok = verification.ok()
        && prepared.found.absent.is_empty()
        && prepared.found.problems.is_empty()
        && probes.iter().all(|probe| probe.error.is_none());
    let report = Report {
        ok,
        absent: &prepared.found.absent,
        problems: &prepared.found.problems,
        verification: &verification,
        probes: &probes,
    };
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.screen())?;
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND_A_PROBLEM)
    })
}

/// The JSON form, whose names are part of the contract.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    /// Interfaces that are configured and not there.
    absent: &'a [String],
    /// What cannot be right, of interfaces that are.
    problems: &'a [String],
    #[serde(flatten)]
    verification: &'a Verification,
    probes: &'a [Probe],
}

impl Report<'_> {
    fn screen(&self) -> String {
        let mut table = output::table(&["", "INTENT", "ASKED", "ANSWER"], 4);
        for check in &self.verification.checks {
            let answer = if check.ok {
                check.answer.clone()
            } else {
                format!("{}; expected: {}", check.answer, check.expected)
            };
            table.add_row([
                if check.ok { "ok" } else { "WRONG" },
                &check.intent,
                &check.question,
                &answer,
            ]);
        }
        for probe in self.probes {
            table.add_row([
                if probe.error.is_none() { "ok" } else { "WRONG" },
                &format!("probe by {}", probe.interface),
                &format!("{} from {}", probe.target, probe.source),
                &probe.answer(),
            ]);
        }
        let mut text = output::rows(&table) + "\n";
        // Writing to a string cannot fail.
        for matcher in self.absent {
            let _ = writeln!(text, "WRONG  no interface is {matcher}");
        }
        for problem in self.problems {
            let _ = writeln!(text, "WRONG  {problem}");
        }
        for difference in &self.verification.differences {
            let _ = writeln!(text, "WRONG  {difference}");
        }
        for reason in &self.verification.unasked {
            let _ = writeln!(text, "not asked: {reason}");
        }
        let outcome = if self.ok {
            "all as intended"
        } else {
            "not as intended; `snat-ctl eni apply` brings it there, `snat-ctl eni plan` shows how"
        };
        let _ = writeln!(text, "\n{outcome}");
        text
    }
}
