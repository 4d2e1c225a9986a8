//! `snat-ctl eni apply`, and what becomes of a change that waits to be confirmed.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{sys::prctl, unistd::setsid};

use super::{configured, plan::show};
use crate::{
    cli::{
        Global,
        eni::{ApplyArgs, EniArgs},
    },
    eni::{
        Store, confirm,
        control::{self, Prepared},
    },
    output,
};

/// How often whoever waits for the deadline looks whether it was confirmed.
const LOOK: Duration = Duration::from_millis(200);
/// What the guard says when nothing can reach it any more.
const WAITING: &str = "waiting\n";

pub(super) fn execute(
    global: &Global,
    args: &EniArgs,
    apply: &ApplyArgs,
) -> anyhow::Result<ExitCode> {
    let intent = configured(global, args)?;
    let store = Store::open()?;
    control::refuse_second_instance(&intent.instance, &store)?;
    let lock = store.lock()?;
    // Its guard was killed; no change may build on one that nobody confirmed.
    confirm::take_back_overdue(&store)?;
    if let Some(pending) = store.pending()? {
        bail!(
            "the last change still waits to be confirmed and is taken back in {}; `snat-ctl eni confirm` keeps it, `snat-ctl eni revert` takes it back now",
            humantime::format_duration(Duration::from_secs(pending.seconds_left()))
        );
    }
    let prepared = Prepared::new(intent, &store, &[])?.refuse_misfit()?;
    if let Some(within) = apply.confirm {
        confirm::prepare_return(&prepared, within, &store)?;
        // Before the change: whatever happens to this process, somebody waits.
        if let Err(error) = start_guard() {
            store.set_pending(None)?;
            return Err(error);
        }
    }
    if let Err(error) = prepared.carry_out(&store) {
        if apply.confirm.is_some() {
            confirm::take_back(&store).context("taking back what had been done failed as well")?;
        }
        return Err(error);
    }
    // Whoever reads what is printed may take his time; whoever takes the change back must not wait for that.
    drop(lock);
    show(&prepared, args.json, "changed")?;
    if let Some(within) = apply.confirm {
        eprintln!(
            "taken back in {} unless you call: snat-ctl eni confirm",
            humantime::format_duration(within)
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn confirm() -> anyhow::Result<ExitCode> {
    let store = Store::open()?;
    let _lock = store.lock()?;
    if store.pending()?.is_none() {
        bail!("nothing waits to be confirmed: it was confirmed before, or taken back");
    }
    store.set_pending(None)?;
    output::print("confirmed: the change stays\n")?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn revert() -> anyhow::Result<ExitCode> {
    let store = Store::open()?;
    let _lock = store.lock()?;
    if !confirm::take_back(&store)? {
        bail!("nothing waits to be confirmed, so there is nothing to take back");
    }
    output::print(
        "taken back: rules and routes are as before; the configuration file still says otherwise\n",
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The process that takes the change back at its deadline.
pub(super) fn guard() -> anyhow::Result<ExitCode> {
    // The terminal, and whoever kills by name, shall not reach it.
    let _ = setsid();
    let _ = prctl::set_name(c"eni-guard");
    let store = Store::open()?;
    output::print(WAITING)?;
    // Nobody else may be there to try again. What cannot be read now may be readable in a moment.
    while guard_once(&store).unwrap_or(true) {
        thread::sleep(LOOK);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether something still waits.
fn guard_once(store: &Store) -> anyhow::Result<bool> {
    let Some(pending) = store.pending()? else {
        return Ok(false);
    };
    if pending.left() > LOOK {
        return Ok(true);
    }
    thread::sleep(pending.left());
    let _lock = store.lock()?;
    // Confirmed in the last moment; or somebody else came first.
    confirm::take_back_overdue(store)?;
    Ok(store.pending()?.is_some())
}

/// Returns once it waits: before that the end of the terminal would be its end too.
fn start_guard() -> anyhow::Result<()> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    let guard = Command::new(program)
        .args(["eni", "guard"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the process that would take the change back; nothing was changed")?;
    let mut said = String::new();
    if let Some(stdout) = guard.stdout {
        BufReader::new(stdout).read_line(&mut said)?;
    }
    if said != WAITING {
        bail!("the process that would take the change back ended at once; nothing was changed");
    }
    Ok(())
}
