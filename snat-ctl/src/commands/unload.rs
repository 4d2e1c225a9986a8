//! `snat-ctl unload`: nothing of the instance is left in the kernel, and nothing else is touched.

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::flows::readable;
use crate::{
    adopt::{HandedBack, hand_back},
    check::netfilter,
    cli::{Global, UnloadArgs},
    eni::Store,
    instance::{self, Lock},
    output,
};

/// Stops the daemon, hands the flows back if that is asked for, detaches, and removes every pin.
///
/// # Errors
///
/// When the daemon does not leave or a pin can't be removed; calling again goes on. When the flows can't be handed
/// back: nothing is detached then.
pub fn execute(global: &Global, args: &UnloadArgs) -> anyhow::Result<ExitCode> {
    let name = global.instance();
    let pins = readable(name)?;
    let hands_back = args.hand_back && pins.complete();
    if hands_back {
        refuse_without_rules()?;
    }
    let stopped = instance::stop_daemon(name)?;
    // Nobody may start one in between.
    let _lock = instance::is_known(name)
        .then(|| Lock::take(name))
        .transpose()?;
    let handed = hands_back.then(|| hand_back(&pins)).transpose()?;
    let removed = instance::take_down(name)?;
    if args.json {
        output::print_json(&Report {
            instance: name,
            daemon_stopped: stopped,
            removed,
            hand_back: handed,
        })?;
    } else {
        output::print(&sentence(name, removed, stopped))?;
        output::print(&handed.as_ref().map(paragraph).unwrap_or_default())?;
    }
    if policy_routes_stay(name) {
        eprintln!("note: the policy routes stay: `snat-ctl eni remove` takes them away");
    }
    Ok(ExitCode::SUCCESS)
}

/// Without them the kernel would send the packets of what it is given as they are.
fn refuse_without_rules() -> anyhow::Result<()> {
    let rules = netfilter::translates_sources().map_err(anyhow::Error::msg);
    let rules = rules.context("cannot see whether the kernel has NAT rules to go on with")?;
    ensure!(
        rules,
        "the kernel has no rules that translate sources (masquerade, snat): nothing was changed; load them first, \
         or unload without --hand-back"
    );
    Ok(())
}

/// What was done.
#[derive(Serialize)]
struct Report<'a> {
    instance: &'a str,
    daemon_stopped: bool,
    removed: bool,
    hand_back: Option<HandedBack>,
}

fn sentence(name: &str, removed: bool, stopped: bool) -> String {
    match (removed, stopped) {
        (true, true) => format!("{name}: daemon stopped, datapath detached and removed\n"),
        (true, false) => format!("{name}: datapath detached and removed\n"),
        (false, true) => format!("{name}: daemon stopped, nothing was loaded\n"),
        (false, false) => format!("{name}: nothing was loaded\n"),
    }
}

/// A line for each end of a flow.
fn paragraph(handed: &HandedBack) -> String {
    let HandedBack {
        handed_back,
        not_open,
        taken,
        no_room,
        other_protocols,
    } = handed;
    let mut text = format!("{handed_back} flows handed back to the kernel's NAT\n");
    let mut not = |count: u64, why: &str| {
        if count > 0 {
            text += &format!("{count} not: {why}\n");
        }
    };
    not(*not_open, "over, or not open yet");
    not(
        *taken,
        "the kernel has another connection with that external address and port",
    );
    not(
        *no_room,
        "the kernel's table is full (net.netfilter.nf_conntrack_max)",
    );
    for (protocol, count) in other_protocols {
        not(
            *count,
            &format!("{protocol}, of which the kernel takes none"),
        );
    }
    text
}

/// They may be the way by which the operator is here.
fn policy_routes_stay(name: &str) -> bool {
    let applied = Store::open().and_then(|store| store.applied());
    applied.is_ok_and(|applied| applied.is_some_and(|applied| applied.instance == name))
}
