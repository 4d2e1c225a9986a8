//! `snat-ctl drops`: why packets did not get through.

mod capture;
mod counted;
mod packet;
mod watch;

use std::process::ExitCode;

use snat_common::Verdict;

use super::flows::loaded;
use crate::cli::{Global, drops::DropsArgs};

/// Counts by reason; or packets as they are dropped, shown, written to a file, or both. Needs no daemon.
///
/// # Errors
///
/// When nothing is loaded under that name, its maps can't be read, somebody watches already, or the file can't
/// be written.
pub fn execute(global: &Global, args: &DropsArgs) -> anyhow::Result<ExitCode> {
    let name = global.instance();
    let pins = loaded(name)?;
    if args.watch || args.pcap.is_some() {
        watch::follow(name, &pins, args)?;
    } else {
        counted::show(name, &pins, args)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The reasons that are asked for: all, if none is named.
fn reasons(args: &DropsArgs) -> Vec<Verdict> {
    Verdict::drops()
        .filter(|verdict| args.reasons.is_empty() || args.reasons.contains(verdict))
        .collect()
}
