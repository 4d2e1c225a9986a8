//! Whether this host can have the policy routes that the configuration asks for.

use super::{Finding, Severity};
use crate::{
    config::File,
    eni::{
        Store,
        control::{Intent, Prepared},
    },
};

/// Works the policy routes out and changes nothing. Empty for a file without `[[eni]]`.
pub(super) fn findings(file: &File) -> Vec<Finding> {
    let Some(routing) = file.routing.clone() else {
        return Vec::new();
    };
    let intent = Intent {
        instance: file.name.clone(),
        config: file.path.clone(),
        routing,
    };
    let prepared = Store::open().and_then(|store| Prepared::new(intent, &store, &[]));
    match prepared {
        Ok(prepared) => of(&prepared),
        Err(error) => vec![Finding::fatal(
            "eni.read",
            format!("cannot work the policy routes out: {error:#}"),
            "without that none are made",
            "put right what it names",
        )],
    }
}

fn of(prepared: &Prepared) -> Vec<Finding> {
    let found = &prepared.found;
    let absent = found.absent.iter().map(|matcher| {
        Finding::warn(
            "eni.interface",
            format!("no interface is {matcher}"),
            "`snat-ctl run` waits for it; `snat-ctl eni apply` refuses the configuration meanwhile",
            "attach it, or correct `match` (see `ip link`)",
        )
        .about(matcher)
    });
    let present = found.interfaces.iter().map(|interface| {
        let (name, table) = (&interface.name, interface.table);
        Finding::ok(
            "eni.interface",
            format!("{name}: policy routes fit, table {table}"),
        )
        .about(name)
    });
    let notes = found.notes.iter().map(|note| Finding {
        severity: Severity::Info,
        ..Finding::ok("eni.note", note)
    });
    let problems = found.problems.iter().chain(&prepared.conflicts);
    let problems = problems.map(|problem| misfit(problem));
    present.chain(absent).chain(problems).chain(notes).collect()
}

/// What is wrong ends where the advice begins.
fn misfit(problem: &str) -> Finding {
    let (what, fix) = problem.split_once("; ").unwrap_or((problem, "correct it"));
    let why = "`snat-ctl eni apply` refuses the configuration, `snat-ctl run` does without this part of it";
    Finding::fatal("eni.host", what, why, fix)
}
