//! What must happen to the datapath over time: ageing, following the host's changes.

pub(crate) mod host;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use snat_common::Interface;
use tokio::{
    sync::mpsc::Receiver,
    time::{MissedTickBehavior, interval},
};

use crate::{
    alerts::Alerts,
    config::Config,
    datapath::{
        self, Attached, LoadError, Pins, attach_all, desired, load, populate, refresh_interfaces,
        sweep::Sweeper,
    },
    heartbeat,
    instance::{self, Record, RecordedInterface},
    last_errors,
    log::{LogWriter, Sink},
    metrics::{Part, Vitals},
    netlink,
    trace::{TraceFilter, Tracer},
    watch,
};

use self::host::{gateway_links, host};

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
    /// Without interfaces: of the file as it was when it was read.
    record: Record,
    /// Held: it is written as long as the daemon lives.
    _log: Option<LogWriter>,
    /// Why the last change of the host's network could not be followed.
    behind: Option<String>,
    trace: Option<TraceFilter>,
    /// Held likewise.
    tracer: Option<Tracer>,
}

impl Daemon {
    /// Loads, fills the maps, attaches, pins. What else a datapath must know before it takes the first packet, `tell`
    /// writes into its maps. `log` is where the configuration's `[log]` goes, `trace` which
    /// packets the programs tell of.
    ///
    /// # Errors
    ///
    /// Whatever failed; a datapath that this call began is gone again, one that was there is untouched
    /// or at least at work.
    pub fn start(
        config: Config,
        log: Option<Sink>,
        trace: Option<TraceFilter>,
        tell: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let name = config.gateway.name.clone();
        let pins = Pins::of(&name);
        // A datapath that was at work is never the one to be taken down for our failure.
        let began = pins.link_names().is_empty() && instance::recorded_interfaces(&name).is_empty();
        let started = Self::begin(config, pins, log, trace, tell);
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
        trace: Option<TraceFilter>,
        tell: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let record = Record::of(&config);
        let (attached, known, tracer) =
            Self::bring_up(&config, &pins, record.clone(), trace.as_ref(), tell)?;
        let all = config.log.as_ref().is_some_and(|log| log.destinations);
        let log = log.map(|sink| LogWriter::start(sink, &config.gateway.name, all));
        Ok(Self {
            // From here on: what happens before anybody waits for it counts too.
            changes: watch::changes(),
            sweeper: Sweeper::open(&pins)?,
            alerts: Alerts::begin(&pins)?,
            vitals: Arc::default(),
            _log: log.transpose()?,
            behind: None,
            trace,
            tracer,
            config,
            pins,
            attached,
            known,
            record,
        })
    }

    /// How each interface works.
    #[must_use]
    pub fn interfaces(&self) -> &[Attached] {
        &self.attached
    }

    /// How the daemon is doing, kept up while it works.
    #[must_use]
    pub fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.vitals)
    }

    /// Looks after the datapath.
    pub async fn work(&mut self) -> ! {
        let mut sweep = interval(sweep_period(&self.config));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
        if let Err(error) = heartbeat::beat(&self.config.gateway.name) {
            self.warn(&format!("cannot say that this daemon is at work: {error}"));
        }
    }

    fn warn(&self, text: &str) {
        last_errors::warn(&self.config.gateway.name, text);
    }

    fn bring_up(
        config: &Config,
        pins: &Pins,
        mut record: Record,
        trace: Option<&TraceFilter>,
        tell: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<(Vec<Attached>, Vec<Interface>, Option<Tracer>)> {
        let links = gateway_links(config)?;
        let host = host(config, &links)?;
        let desired = desired(config, &host)?;
        let mut ebpf = load(pins, config.gateway.max_flows, trace)?;
        let tracer = trace.map(|_| Tracer::start(&mut ebpf)).transpose()?;
        populate(pins, &desired, &host).context("cannot write the configuration into the maps")?;
        tell()?;
        let name = &config.gateway.name;
        let wanted = &config.gateway.interfaces;
        let gone: Vec<_> = instance::recorded_interfaces(name)
            .into_iter()
            .filter(|interface| !wanted.contains(interface))
            .collect();
        // Before anything is attached: what has no pin is found again only by this.
        let unattached = |interface: &String| RecordedInterface::unattached(interface);
        record.interfaces = wanted.iter().chain(&gone).map(unattached).collect();
        record.write(name)?;
        let attached = attach_all(&mut ebpf, pins, &links, config.gateway.datapath)?;
        datapath::detach_others(pins, wanted)?;
        for interface in &gone {
            datapath::clsact::detach(interface)
                .with_context(|| format!("cannot remove the TC filters of {interface}"))?;
        }
        record.interfaces = attached.iter().map(RecordedInterface::from).collect();
        record.write(name)?;
        Ok((attached, host.interfaces, tracer))
    }

    /// Something about links, addresses, routes or neighbours changed.
    fn follow(&mut self) -> anyhow::Result<()> {
        let links = gateway_links(&self.config)?;
        let host = host(&self.config, &links)?;
        let came_back = host
            .interfaces
            .iter()
            .zip(&self.known)
            .any(|(now, then)| now.ifindex != then.ifindex);
        if came_back {
            // Another interface of the same name: nothing of ours is on it yet. What else is in the maps stays.
            let nothing = || Ok(());
            let record = self.record.clone();
            let trace = self.trace.as_ref();
            (self.attached, self.known, self.tracer) =
                Self::bring_up(&self.config, &self.pins, record, trace, nothing)?;
            eprintln!("attached anew: an interface was replaced");
        } else if host.interfaces == self.known {
            refresh_interfaces(&self.pins, &host.interfaces)?;
        } else {
            let desired = desired(&self.config, &host)?;
            populate(&self.pins, &desired, &host)?;
            self.known = host.interfaces;
        }
        Ok(())
    }
}

/// Whether nothing was touched, because what is there is not ours to take over.
fn is_refusal(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(LoadError::Incompatible { .. }))
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
