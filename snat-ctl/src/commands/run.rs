//! `snat-ctl run`: bring the datapath up, then stay with it.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::{
    check::{self, Severity},
    cli::{Global, RunArgs},
    config::Config,
    daemon::Daemon,
    datapath::{AttachError, Attached, LoadError, Mode},
    instance::Lock,
};

/// Loads, attaches and pins, says `ready`, and serves until told to stop.
///
/// # Errors
///
/// A wrong configuration, a host that is not ready, a second daemon: nothing was changed then. A failure
/// on the way up: what this start had made is removed again.
pub fn execute(global: &Global, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load_for(&args.config, global.name.as_deref())?;
    let findings = check::preflight(&config);
    check::refuse_fatal(&findings)?;
    let _lock = Lock::take(&config.gateway.name)?;
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    for finding in findings
        .iter()
        .filter(|finding| finding.severity == Severity::Warn)
    {
        eprintln!("warning: {finding}");
    }
    let daemon = Daemon::start(config, args.detach_on_exit).inspect_err(|error| {
        let log = error
            .chain()
            .find_map(|cause| match cause.downcast_ref::<AttachError>() {
                Some(AttachError::Load(error)) => error.verifier_log(),
                _ => cause
                    .downcast_ref::<LoadError>()
                    .and_then(LoadError::verifier_log),
            });
        if args.verifier_log
            && let Some(log) = log
        {
            eprintln!("{log}");
        }
    })?;
    for interface in daemon.interfaces() {
        eprintln!("{}", describe(interface));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(daemon.serve())?;
    Ok(ExitCode::SUCCESS)
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
