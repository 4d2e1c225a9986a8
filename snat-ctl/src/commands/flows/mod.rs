//! `snat-ctl flows`: the flow table as a person reads it.

mod flush;
mod list;
mod rows;
mod show;
mod watch;

use std::{fs, io, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail, ensure};

use crate::{
    cli::{
        Global,
        flows::{FlowsArgs, FlowsCommand},
    },
    datapath::{self, Filter, Pins, Scan},
};

/// Does what the verb says. Needs no daemon.
///
/// # Errors
///
/// When nothing is loaded under that name or the table can't be read.
pub fn execute(global: &Global, args: &FlowsArgs) -> anyhow::Result<ExitCode> {
    let pins = loaded(global.instance())?;
    match &args.command {
        None => list::execute(&pins, &args.list)?,
        Some(FlowsCommand::List(list)) => list::execute(&pins, list)?,
        Some(FlowsCommand::Show(show)) => show::execute(&pins, show)?,
        Some(FlowsCommand::Watch(watch)) => watch::execute(&pins, watch)?,
        Some(FlowsCommand::Flush(flush)) => flush::execute(&pins, flush)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The instance's pins, if it has any.
///
/// # Errors
///
/// Says what to do where there are none, or where another version of this program made them.
pub(super) fn loaded(name: &str) -> anyhow::Result<Pins> {
    let pins = readable(name)?;
    if pins.dir().join("SETTINGS").exists()
        && let Some(reason) =
            datapath::foreign_abi(&pins).map_err(|error| unreadable(name, error))?
    {
        bail!(
            "instance {name:?} was loaded by another version of snat-ctl: {reason}; use that one, or `snat-ctl unload --name {name}` and `run` it anew, which ends its flows"
        );
    }
    ensure!(
        pins.complete(),
        "no datapath of instance {name:?} is loaded ({} is not there or not whole); start it with `snat-ctl run`, or name another with --name",
        pins.dir().display()
    );
    Ok(pins)
}

/// The first map that could not be opened; mostly for want of permission.
fn unreadable(name: &str, error: datapath::MapError) -> anyhow::Error {
    let error = anyhow::Error::new(error);
    let denied = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::PermissionDenied);
    let what = format!("cannot read the maps of instance {name:?}");
    error.context(if denied {
        format!("{what}, run as root: sudo snat-ctl ...")
    } else {
        what
    })
}

/// The instance's pins, whether there or not.
///
/// # Errors
///
/// When this user may not look: what cannot be seen is not the same as what is not there.
pub(super) fn readable(name: &str) -> anyhow::Result<Pins> {
    let pins = Pins::of(name);
    match fs::metadata(pins.dir()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(error).with_context(|| {
                let dir = pins.dir().display();
                format!("cannot look into {dir}, run as root: sudo snat-ctl ...")
            })
        }
        _ => Ok(pins),
    }
}

/// What the filter selects, with rates if they are asked for.
fn selected(
    pins: &Pins,
    filter: &Filter,
    rates: bool,
    interval: Duration,
) -> Result<Scan, datapath::MapError> {
    let scan = Scan::open(pins, filter)?;
    if rates || filter.min_rate.is_some() {
        scan.measured(interval)
    } else {
        Ok(scan)
    }
}
