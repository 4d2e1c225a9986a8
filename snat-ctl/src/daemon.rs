//! What must happen to the datapath over time: ageing, following the host's changes.

mod bring_up;
mod change;
mod departed;
mod follow;
pub(crate) mod host;
mod metrics;
mod programs;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use snat_common::Interface;
use tokio::{
    sync::mpsc::Receiver,
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{
    alerts::Alerts,
    apply::end_what_is_left,
    config::Config,
    control::Asked,
    datapath::{Attached, LoadError, Pins, sweep::Sweeper},
    heartbeat,
    instance::{self, AtWork, Record},
    last_errors,
    log::{LogWriter, Sink},
    metrics::{Listener, Part, Vitals},
    netlink,
    trace::Tracer,
    watch,
};

pub use self::{
    bring_up::{Ground, Up, bring_up},
    programs::Wanted,
};
use self::{departed::Departed, metrics::Metrics};

/// Longest time between two looks at the flow table.
const SWEEP: Duration = Duration::from_secs(5);
/// Shortest.
const MIN_SWEEP: Duration = Duration::from_millis(100);
/// Time between two looks at what clients were refused.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two looks for neighbours that nobody has verified for a while.
const VERIFY: Duration = Duration::from_secs(10);

/// A running gateway.
pub struct Daemon {
    config: Config,
    pins: Pins,
    attached: Vec<Attached>,
    known: Vec<Interface>,
    changes: Receiver<()>,
    sweeper: Sweeper,
    alerts: Alerts,
    vitals: Arc<Vitals>,
    /// Held: it is written as long as the daemon lives.
    log: Option<LogWriter>,
    /// Held likewise: they are served.
    metrics: Option<Metrics>,
    /// Why the last change of the host's network could not be followed.
    behind: Option<String>,
    /// Held likewise.
    _tracer: Option<Tracer>,
    departed: Departed,
}

impl Daemon {
    /// Loads, fills the maps, attaches, pins. What else a datapath must know before it takes the first packet, `tell`
    /// writes into its maps. `log` is where the configuration's `[log]` goes.
    ///
    /// # Errors
    ///
    /// Whatever failed; a datapath that this call began is gone again, one that was there is untouched
    /// or at least at work.
    pub fn start(
        config: Config,
        log: Option<Sink>,
        programs: &Wanted,
        tell: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let name = config.gateway.name.clone();
        let pins = Pins::of(&name);
        // A datapath that was at work is never the one to be taken down for our failure.
        let began = pins.link_names().is_empty() && instance::recorded_interfaces(&name).is_empty();
        let started = Self::begin(config, pins, log, programs, tell);
        if let Err(error) = &started
            && began
            && !is_refusal(error)
        {
            // The first error is the one to tell.
            let _ = instance::take_down(&name);
        }
        started
    }

    fn begin(
        config: Config,
        pins: Pins,
        log: Option<Sink>,
        programs: &Wanted,
        tell: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let before = AtWork::read(&config.gateway.name);
        let mut record = Record::of(&config);
        record.unfinished = true;
        let up = bring_up(&config, record, programs, tell)?;
        let old = before.file.as_ref().and_then(|file| file.gateway.as_ref());
        let ended = end_what_is_left(&config, old, before.unfinished)?;
        if ended != 0 {
            eprintln!("ended {ended} flows that the configuration does not allow any more");
        }
        let log = open_log(&config, log)?;
        Ok(Self {
            // From here on: what happens before anybody waits for it counts too.
            changes: watch::changes(),
            sweeper: Sweeper::open(&pins)?,
            alerts: Alerts::begin(&pins)?,
            vitals: Arc::default(),
            log,
            metrics: None,
            behind: None,
            _tracer: up.tracer,
            departed: Departed::default(),
            config,
            pins,
            attached: up.attached,
            known: up.interfaces,
        })
    }

    /// Serves metrics there, by a socket that listens already.
    ///
    /// # Errors
    ///
    /// [`crate::metrics::ServeError`].
    pub fn serve_metrics(&mut self, listener: Listener) -> anyhow::Result<()> {
        let Some(listen) = self.config.metrics else {
            return Ok(());
        };
        let name = &self.config.gateway.name;
        self.metrics = Some(Metrics::begin(listen, listener, name, &self.vitals)?);
        Ok(())
    }

    /// How each interface works.
    #[must_use]
    pub fn interfaces(&self) -> &[Attached] {
        &self.attached
    }

    /// Looks after the datapath, and does what is asked.
    pub async fn work(&mut self, requests: &mut Receiver<Asked>) -> ! {
        let mut sweep = ageing(&self.config);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut verify = interval(VERIFY);
        loop {
            tokio::select! {
                _ = sweep.tick() => self.sweep(),
                _ = look.tick() => self.look(),
                _ = verify.tick() => {
                    self.verify();
                    if self.behind.is_some() {
                        self.keep_up();
                    }
                }
                Some(()) = self.changes.recv() => self.keep_up(),
                Some(asked) = requests.recv() => {
                    let answer = self.answer(&asked.request);
                    // Who asked may be gone.
                    let _ = asked.reply.send(answer);
                    sweep = ageing(&self.config);
                }
            }
        }
    }

    fn sweep(&self) {
        let begun = Instant::now();
        match self.sweeper.sweep() {
            Ok(census) => self.vitals.swept(census, begun.elapsed()),
            Err(error) => self.failed(Part::Sweep, format!("cannot age out flows: {error}")),
        }
    }

    fn verify(&self) {
        let interfaces: Vec<_> = self.known.iter().map(|known| known.ifindex).collect();
        if let Err(error) = netlink::neighbours::verify_stale(&interfaces) {
            self.warn(&format!("cannot have neighbours verified: {error}"));
        }
    }

    /// Follows the host's network. What fails is tried again: what stood in the way need not be a change of it.
    fn keep_up(&mut self) {
        let Err(error) = self.follow() else {
            self.behind = None;
            return self.vitals.recovered(Part::Network);
        };
        let what = format!("cannot follow a change of the host's network: {error:#}");
        // Else an interface that is gone for days would be told of every ten seconds.
        if self.behind.as_ref() != Some(&what) {
            self.failed(Part::Network, what.clone());
            self.behind = Some(what);
        }
    }

    fn failed(&self, part: Part, what: String) {
        self.warn(&what);
        self.vitals.failed(part, what);
    }

    /// What clients were refused; and that this daemon is at work.
    fn look(&mut self) {
        match self.alerts.lines(&self.pins) {
            Ok(lines) => lines.iter().for_each(|line| self.warn(line)),
            Err(error) => self.warn(&format!("cannot read the counters: {error}")),
        }
        self.end_departed();
        if let Err(error) = heartbeat::beat(&self.config.gateway.name) {
            self.warn(&format!("cannot say that this daemon is at work: {error}"));
        }
    }

    fn warn(&self, text: &str) {
        last_errors::warn(&self.config.gateway.name, text);
    }

    fn take(&mut self, up: Up) {
        (self.attached, self.known) = (up.attached, up.interfaces);
    }
}

/// Whether nothing was touched, because what is there is not ours to take over.
fn is_refusal(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(LoadError::Incompatible { .. } | LoadError::NoPrevious { .. })
    )
}

fn open_log(config: &Config, sink: Option<Sink>) -> anyhow::Result<Option<LogWriter>> {
    let all = config.log.as_ref().is_some_and(|log| log.destinations);
    let log = sink.map(|sink| LogWriter::start(sink, &config.gateway.name, all));
    Ok(log.transpose()?)
}

fn ageing(config: &Config) -> Interval {
    let mut sweep = interval(sweep_period(config));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    sweep
}

/// Often enough that a flow or a port's rest outlives its time by a quarter at most.
fn sweep_period(config: &Config) -> Duration {
    let timeouts = &config.timeouts;
    let shortest = timeouts
        .icmp
        .min(timeouts.udp)
        .min(timeouts.other)
        .min(timeouts.tcp_opening)
        .min(timeouts.tcp_closing)
        .min(timeouts.port_rest);
    (shortest.min(timeouts.tcp_established) / 4).clamp(MIN_SWEEP, SWEEP)
}
