//! `snat-ctl apply`: the running gateway does what the file says.

use std::{
    fs,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::WrongUsage;
use crate::{
    apply::{Outcome, Prepared},
    cli::{Global, apply::ApplyArgs},
    config::File,
    control::{Answer, Request, ask},
    instance::Lock,
    output,
};

/// How long a daemon may take to begin to listen, or another `apply` to end.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Has the daemon apply the file, or does it itself where there is none; prints the difference.
///
/// # Errors
///
/// A wrong file, a host that is not ready for it, a write that failed: what was at work is so still, or the error says that
/// it is not.
pub fn execute(global: &Global, args: &ApplyArgs) -> anyhow::Result<ExitCode> {
    let mut file = File::load_for(&args.config, global.name.as_deref())?;
    file.path = fs::canonicalize(&file.path).unwrap_or(file.path);
    let outcome = apply(&file, args.dry_run)?;
    for warning in &outcome.warnings {
        eprintln!("warning: {warning}");
    }
    if args.json {
        output::print_json(&outcome)?;
    } else {
        output::print(&text(&outcome))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn apply(file: &File, dry_run: bool) -> anyhow::Result<Outcome> {
    let request = Request::Apply {
        path: file.path.clone(),
        text: file.text.clone(),
        dry_run,
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask(&file.name, &request)? {
            Some(Answer::Applied(outcome)) => return Ok(outcome),
            Some(Answer::Refused {
                message,
                configuration: true,
            }) => return Err(WrongUsage(message).into()),
            Some(Answer::Refused { message, .. }) => bail!(message),
            None => {}
        }
        // Nobody listens: it is ours to do, unless somebody is about to listen, or does the same.
        match Lock::take(&file.name) {
            Ok(_lock) => return alone(file, dry_run),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Without a daemon, under its lock.
fn alone(file: &File, dry_run: bool) -> anyhow::Result<Outcome> {
    let prepared = Prepared::new(&file.name, file.clone())?;
    if dry_run || prepared.is_nothing() {
        return prepared
            .outlook()
            .map(|outcome| Outcome { dry_run, ..outcome });
    }
    prepared.carry_out().map(|done| done.outcome)
}

fn text(outcome: &Outcome) -> String {
    let name = &outcome.name;
    if outcome.is_nothing() {
        return format!("{name}: nothing to do, this is at work\n");
    }
    let mut lines: Vec<_> = outcome.changes.iter().map(ToString::to_string).collect();
    if outcome.interrupted {
        lines.push("a change that was interrupted before: brought to its end".to_owned());
    }
    if outcome.unknown {
        lines.push("it is not known what was at work: all of the file is applied".to_owned());
    }
    let flows = outcome.flows_ended;
    lines.push(match (outcome.dry_run, flows) {
        (true, 0) => format!("{name}: nothing was changed; no flow would be ended"),
        (true, _) => format!("{name}: nothing was changed; {flows} flows would be ended"),
        (false, 0) => format!("{name}: applied, no flow was ended"),
        (false, _) => format!("{name}: applied, {flows} flows were ended"),
    });
    lines.join("\n") + "\n"
}
