//! The process of `snat-ctl run`: signals, systemd, and the two things that it looks after.

use std::{future::pending, time::Duration};

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::{
    pin, select,
    signal::unix::{Signal, SignalKind, signal},
    time::interval,
};

use crate::{daemon::Daemon, eni::keep::Keeper};

/// Says that it is ready, and for what; serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// When signals, the kernel's notifications or the pinned state can't be had; what is in the kernel goes on.
pub async fn serve(
    mut daemon: Option<Daemon>,
    mut keeper: Option<Keeper>,
    at_work: &str,
) -> anyhow::Result<()> {
    let mut terminate = listen(SignalKind::terminate(), "SIGTERM")?;
    let mut interrupt = listen(SignalKind::interrupt(), "SIGINT")?;
    let mut hangup = listen(SignalKind::hangup(), "SIGHUP")?;
    let mut watchdog = interval(watchdog_period());
    let routes = async {
        match &mut keeper {
            Some(keeper) => keeper.work().await,
            None => pending().await,
        }
    };
    let translation = async {
        match &mut daemon {
            Some(daemon) => daemon.work().await,
            None => pending().await,
        }
    };
    pin!(routes, translation);
    // Not before signals are heard: whoever reads it may send one.
    eprintln!("ready: {at_work}");
    notify(&[NotifyState::Ready, NotifyState::Status(at_work)]);
    loop {
        select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                eprintln!("warning: SIGHUP: reload is not supported yet; restart `snat-ctl run` to read the configuration anew, no flow is lost by that");
            }
            _ = watchdog.tick() => notify(&[NotifyState::Watchdog]),
            ended = &mut routes => return ended,
            ended = &mut translation => return ended,
        }
    }
    notify(&[NotifyState::Stopping]);
    Ok(())
}

fn listen(kind: SignalKind, name: &str) -> anyhow::Result<Signal> {
    signal(kind).with_context(|| format!("cannot listen for {name}"))
}

/// Half of what systemd asks for; a long while where it asks for nothing.
fn watchdog_period() -> Duration {
    let mut micros = 0;
    if sd_notify::watchdog_enabled(false, &mut micros) && micros > 1 {
        Duration::from_micros(micros / 2)
    } else {
        Duration::from_secs(3600)
    }
}

/// Outside of systemd there is nobody to tell.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(false, states);
}
