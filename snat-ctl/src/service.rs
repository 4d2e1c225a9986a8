//! The process of `snat-ctl run`: signals, systemd, what is asked of it, and the two things that it looks after.

mod reload;

use std::{future::pending, path::PathBuf, time::Duration};

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::{
    pin, select,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::interval,
};

use self::reload::reload;
use crate::{
    control::{self, Answer, Asked},
    daemon::Daemon,
    eni::keep::Keeper,
};

/// Requests that wait for one under way.
const WAITING: usize = 16;

/// What is served.
pub struct Service {
    /// The instance.
    pub name: String,
    /// Its file, read again at SIGHUP.
    pub config: PathBuf,
    /// What it says when it is ready, and to systemd.
    pub at_work: String,
}

impl Service {
    /// Says that it is ready, and for what; serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    ///
    /// When signals, the kernel's notifications or the pinned state can't be had; what is in the kernel goes on.
    pub async fn serve(
        &self,
        mut daemon: Option<Daemon>,
        mut keeper: Option<Keeper>,
    ) -> anyhow::Result<()> {
        let mut terminate = listen(SignalKind::terminate(), "SIGTERM")?;
        let mut interrupt = listen(SignalKind::interrupt(), "SIGINT")?;
        let mut hangup = listen(SignalKind::hangup(), "SIGHUP")?;
        let mut watchdog = interval(watchdog_period());
        let (ask, mut requests) = mpsc::channel(WAITING);
        control::serve(&self.name, ask.clone())?;
        let routes = async {
            match &mut keeper {
                Some(keeper) => keeper.work().await,
                None => pending().await,
            }
        };
        let translation = async {
            match &mut daemon {
                Some(daemon) => daemon.work(&mut requests).await,
                None => without_gateway(&mut requests).await,
            }
        };
        pin!(routes, translation);
        // Not before signals are heard: whoever reads it may send one.
        eprintln!("ready: {}", self.at_work);
        notify(&[NotifyState::Ready, NotifyState::Status(&self.at_work)]);
        loop {
            select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {
                    tokio::spawn(reload(self.name.clone(), self.config.clone(), ask.clone()));
                }
                _ = watchdog.tick() => notify(&[NotifyState::Watchdog]),
                ended = &mut routes => return ended,
                ended = &mut translation => return ended,
            }
        }
        notify(&[NotifyState::Stopping]);
        Ok(())
    }
}

/// A daemon that keeps policy routes alone.
async fn without_gateway(requests: &mut mpsc::Receiver<Asked>) -> ! {
    while let Some(asked) = requests.recv().await {
        let answer = Answer::Refused {
            message: "this instance keeps policy routes alone: `snat-ctl eni apply` changes them; to have it translate, restart `snat-ctl run`".to_owned(),
            configuration: false,
        };
        let _ = asked.reply.send(answer);
    }
    pending().await
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
