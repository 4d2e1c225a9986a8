//! `snat-ctl status`: one screen that says whether all is well.

mod report;
mod screen;
mod words;

use std::process::ExitCode;

use self::report::Report;
use super::flows::loaded;
use crate::{
    cli::{Global, status::StatusArgs},
    output,
};

const FOUND_A_PROBLEM: u8 = 3;

/// Prints how the instance is doing. Needs no daemon.
///
/// # Errors
///
/// When nothing is loaded under that name or its maps can't be read.
pub fn execute(global: &Global, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let pins = loaded(global.instance())?;
    let report = Report::read(global.instance(), &pins, args.interval)?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&screen::screen(&report, args.all))?;
    }
    Ok(if args.check && report.is_degraded() {
        ExitCode::from(FOUND_A_PROBLEM)
    } else {
        ExitCode::SUCCESS
    })
}
