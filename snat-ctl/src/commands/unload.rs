//! `snat-ctl unload`: nothing of the instance is left in the kernel, and nothing else is touched.

use std::process::ExitCode;

use super::flows::readable;
use crate::{
    cli::{Global, UnloadArgs},
    eni::Store,
    instance::{self, Lock},
    output,
};

/// Stops the daemon, detaches, and removes every pin.
///
/// # Errors
///
/// When the daemon does not leave or a pin can't be removed; calling again goes on.
pub fn execute(global: &Global, _args: &UnloadArgs) -> anyhow::Result<ExitCode> {
    let name = global.instance();
    readable(name)?;
    let stopped = instance::stop_daemon(name)?;
    // Nobody may start one in between.
    let _lock = instance::is_known(name)
        .then(|| Lock::take(name))
        .transpose()?;
    let removed = instance::take_down(name)?;
    output::print(&match (removed, stopped) {
        (true, true) => format!("{name}: daemon stopped, datapath detached and removed\n"),
        (true, false) => format!("{name}: datapath detached and removed\n"),
        (false, true) => format!("{name}: daemon stopped, nothing was loaded\n"),
        (false, false) => format!("{name}: nothing was loaded\n"),
    })?;
    if policy_routes_stay(name) {
        eprintln!("note: the policy routes stay: `snat-ctl eni remove` takes them away");
    }
    Ok(ExitCode::SUCCESS)
}

/// They may be the way by which the operator is here.
fn policy_routes_stay(name: &str) -> bool {
    let applied = Store::open().and_then(|store| store.applied());
    applied.is_ok_and(|applied| applied.is_some_and(|applied| applied.instance == name))
}
