//! `snat-ctl run`: bring everything up, then stay with it.

use std::process::ExitCode;

use anyhow::Context as _;
use snat_common::transfer::Transfer;

use crate::{
    check::{self, Finding, Severity},
    cli::{Global, RunArgs},
    config::{Config, File, Routing},
    daemon::{Daemon, Wanted},
    datapath::{Attached, LoadError, Mode, Pins, set_transfer},
    eni::{
        Store,
        control::{self, Intent},
        keep::Keeper,
        removal,
    },
    instance::{self, AtWork, Lock},
    last_errors,
    log::Sink,
    metrics::Listener,
    output::told,
    service::Service,
};

/// Applies the policy routes; loads, attaches and pins the datapath; says `ready`; serves until told to stop.
///
/// # Errors
///
/// A wrong configuration, a host that is not ready, a second daemon: nothing was changed then. A failure
/// on the way up: what this start had made is removed again.
pub fn execute(global: &Global, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let file = File::load_for(&args.config, global.name.as_deref())?;
    let ended = run(&file, args);
    if let Err(error) = &ended
        && instance::daemon(&file.name).is_none()
    {
        last_errors::note(&file.name, &format!("run: {}", told(error)));
    }
    ended
}

fn run(file: &File, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let findings = file.gateway.as_ref().map(check::preflight);
    let findings = findings.unwrap_or_default();
    check::refuse_fatal(&findings)?;
    let listener = listen(file)?;
    let log = file.gateway.as_ref().and_then(|config| config.log.as_ref());
    let log = log.map(Sink::open).transpose()?;
    let _lock = Lock::take(&file.name)?;
    warn(&file.warnings, &findings);

    let routes = file.routing.clone().map(|routing| keep(file, routing));
    let (keeper, applied_before) = routes.transpose()?.unzip();
    let gateway = file.gateway.clone();
    let daemon = gateway.map(|config| start(config, log, args, keeper.as_ref()));
    let mut daemon = daemon.transpose().inspect_err(|_| {
        if applied_before == Some(false) {
            // The first error is the one to tell.
            let _ = take_back_routes();
        }
    })?;

    for interface in daemon.iter().flat_map(Daemon::interfaces) {
        eprintln!("{}", describe(interface));
    }
    let name = &file.name;
    if let (Some(listener), Some(daemon)) = (listener, &mut daemon) {
        daemon.serve_metrics(listener)?;
    }
    AtWork::settle(&file.name, &file.text)?;
    let translates = daemon.is_some();
    let at_work = if translates {
        let maps = Pins::of(name).dir().display().to_string();
        format!("instance {name:?} translates; its maps are in {maps}")
    } else {
        format!("instance {name:?} keeps the policy routes")
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let service = Service {
        name: name.clone(),
        config: file.path.clone(),
        at_work,
    };
    runtime.block_on(service.serve(daemon, keeper))?;
    end(name, translates, args)?;
    Ok(ExitCode::SUCCESS)
}

/// Before anything is changed: the port may be somebody else's.
fn listen(file: &File) -> anyhow::Result<Option<Listener>> {
    let listen = file.gateway.as_ref().and_then(|config| config.metrics);
    let listener = listen.map(Listener::bind).transpose();
    if listener.is_err() && instance::daemon(&file.name).is_some() {
        // It is this instance's, and that is the thing to tell.
        Lock::take(&file.name)?;
    }
    Ok(listener?)
}

fn warn(warnings: &[String], findings: &[Finding]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let warned = |finding: &&Finding| finding.severity == Severity::Warn;
    for finding in findings.iter().filter(warned) {
        eprintln!("warning: {finding}");
    }
}

/// The keeper, and whether anything had been applied before it.
fn keep(file: &File, routing: Routing) -> anyhow::Result<(Keeper, bool)> {
    let store = Store::open()?;
    control::refuse_second_instance(&file.name, &store)?;
    let applied = store.applied()?;
    let keeper = Keeper::start(Intent {
        instance: file.name.clone(),
        config: file.path.clone(),
        routing,
    })?;
    Ok((keeper, applied.is_some()))
}

fn take_back_routes() -> anyhow::Result<()> {
    let store = Store::open()?;
    let _lock = store.lock()?;
    removal::remove(&store).map(drop)
}

fn start(
    config: Config,
    log: Option<Sink>,
    args: &RunArgs,
    keeper: Option<&Keeper>,
) -> anyhow::Result<Daemon> {
    let pins = Pins::of(&config.gateway.name);
    let tell = || {
        // Half an `adopt` may have left it to the kernel to open flows.
        set_transfer(&pins, Transfer::None)?;
        keeper.map_or(Ok(()), Keeper::tell_datapath)
    };
    let programs = if args.rollback {
        Wanted::Previous
    } else {
        Wanted::Own(args.trace.clone())
    };
    Daemon::start(config, log, &programs, tell).inspect_err(|error| {
        let log = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<LoadError>()?.verifier_log());
        if args.verifier_log
            && let Some(log) = log
        {
            eprintln!("{log}");
        }
    })
}

fn end(name: &str, translates: bool, args: &RunArgs) -> anyhow::Result<()> {
    if !translates {
        eprintln!("stopped: the policy routes stay; `snat-ctl eni remove` takes them away");
    } else if args.detach_on_exit {
        instance::take_down(name)?;
        eprintln!("stopped: the datapath is detached and removed");
    } else {
        eprintln!(
            "stopped: the datapath goes on translating; `snat-ctl unload --name {name}` takes it down"
        );
        if args.trace.is_some() {
            eprintln!(
                "it goes on tracing too, to nobody and at a cost for each packet: `snat-ctl run` without --trace ends that"
            );
        }
    }
    Ok(())
}

fn describe(attached: &Attached) -> String {
    let Attached {
        interface,
        mode,
        clsact,
        reason,
    } = attached;
    let tc = if *clsact { "TC (clsact)" } else { "TC (TCX)" };
    let how = match mode {
        Mode::Xdp => format!("XDP in the driver, {tc} behind it"),
        Mode::XdpGeneric => format!("XDP in the stack, {tc} behind it"),
        Mode::Tc => tc.to_owned(),
    };
    match reason {
        Some(reason) => format!("{interface}: {how}, because: {reason}"),
        None => format!("{interface}: {how}"),
    }
}
