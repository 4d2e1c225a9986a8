//! `snat-ctl flows flush`: removes flows, after saying how many.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::{rows::count, selected};
use crate::{
    cli::flows::FlowsFlushArgs,
    commands::WrongUsage,
    datapath::{self, Pins},
    output,
};

/// The JSON form.
#[derive(Serialize)]
struct Report {
    matched: u64,
    removed: u64,
    dry_run: bool,
}

pub(super) fn execute(pins: &Pins, args: &FlowsFlushArgs) -> anyhow::Result<()> {
    if args.filter.is_empty() != args.all {
        bail!(WrongUsage(if args.all {
            "--all is for every flow, and the filter for some: give one of the two".to_owned()
        } else {
            "nothing says which flows to remove: give a filter (`snat-ctl flows flush --help` lists them), or --all".to_owned()
        }));
    }
    let selection = selected(pins, &args.filter, false, args.interval);
    let selection = selection.context("cannot look for the flows")?;
    let mut matched = 0;
    let counted = selection.for_each(|_| matched += 1);
    counted.context("cannot count the flows")?;
    let removed = if args.dry_run || matched == 0 || !agreed(args, matched)? {
        0
    } else {
        datapath::flush(pins, &selection).context("cannot remove the flows")?
    };
    let report = Report {
        matched,
        removed,
        dry_run: args.dry_run,
    };
    if args.json {
        return output::print_json(&report);
    }
    output::print(&if args.dry_run {
        format!("{} would be removed\n", count(matched))
    } else {
        format!("{} removed\n", count(removed))
    })
}

/// Whether to go on: says how many, and asks where somebody can answer.
fn agreed(args: &FlowsFlushArgs, matched: u64) -> anyhow::Result<bool> {
    let what = count(matched);
    if args.yes {
        eprintln!("removing {what}");
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        bail!(WrongUsage(format!(
            "{what} would be removed, and nobody is there to agree (standard input is no terminal): give --yes, or --dry-run to see how many"
        )));
    }
    eprint!("Remove {what}? [y/N] ");
    io::stderr().flush().ok();
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
