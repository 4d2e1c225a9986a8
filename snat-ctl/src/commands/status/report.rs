//! What `status` tells, as JSON has it.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;
use snat_common::Verdict;

use crate::{
    datapath::{Occupancy, Pins, Room, Totals, build_at_work, previous_build},
    health::{self, Look, PolicyRoutes, Problem, Rates, Sample},
    instance::{self, Record, RecordedInterface},
    last_errors::{LastError, last_errors},
};

/// The JSON form, whose names are part of the contract.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) name: String,
    /// `ok` or `degraded`.
    pub(super) health: &'static str,
    pub(super) problems: Vec<Problem>,
    /// `standalone`.
    pub(super) role: &'static str,
    /// Process id of the daemon; traffic flows without one too.
    pub(super) daemon: Option<i32>,
    /// Of the programs at work.
    pub(super) build: Option<String>,
    /// What `run --rollback` goes to.
    pub(super) previous_build: Option<String>,
    pub(super) config: Option<String>,
    pub(super) interfaces: Vec<RecordedInterface>,
    pub(super) entries: Vec<String>,
    pub(super) flows: Room,
    /// What is beside the flow table: mappings, clients, ports.
    #[serde(flatten)]
    pub(super) occupancy: Occupancy,
    /// Per second; none with `--interval 0`.
    pub(super) rates: Option<Rates>,
    /// By the event's name, since the datapath was loaded.
    pub(super) events: BTreeMap<&'static str, u64>,
    /// By the verdict's name: packets and bytes since the datapath was loaded.
    pub(super) verdicts: BTreeMap<&'static str, Count>,
    /// None where the instance keeps none.
    pub(super) policy_routes: Option<PolicyRoutes>,
    /// What the daemon warned of, the oldest first.
    pub(super) last_errors: Vec<LastError>,
    pub(super) pins: String,
}

#[derive(Serialize)]
pub(super) struct Count {
    pub(super) action: &'static str,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl Report {
    /// Looks twice, `interval` apart; once if that is zero.
    pub(super) fn read(name: &str, pins: &Pins, interval: Duration) -> anyhow::Result<Self> {
        let begin = Instant::now();
        let sample = || Sample::take(pins).context("cannot read the counters");
        let first = sample()?;
        let tables = health::tables(pins).context("cannot count flows, mappings and clients")?;
        thread::sleep(interval.saturating_sub(begin.elapsed()));
        let last = sample()?;
        let rates = (!interval.is_zero()).then(|| Rates::between(&first, &last));
        let problems = health::problems(&Look {
            name,
            pins,
            rates: rates.as_ref(),
            tables: Some(&tables),
        });
        let record = Record::read(name);
        let (config, interfaces, entries) = record.map_or_else(Default::default, |record| {
            let config = record.config.display().to_string();
            (Some(config), record.interfaces, record.entries)
        });
        Ok(Self {
            name: name.to_owned(),
            health: if health::is_degraded(&problems) {
                "degraded"
            } else {
                "ok"
            },
            problems,
            role: "standalone",
            daemon: instance::daemon(name),
            build: build_at_work(pins),
            previous_build: previous_build(pins),
            config,
            interfaces,
            entries,
            flows: tables.flows,
            occupancy: tables.occupancy,
            rates,
            verdicts: counts(&last.totals),
            events: last.events,
            // That it can't be read is among the problems.
            policy_routes: health::policy_routes(name).ok().flatten(),
            last_errors: last_errors(name),
            pins: pins.dir().display().to_string(),
        })
    }

    pub(super) fn is_degraded(&self) -> bool {
        health::is_degraded(&self.problems)
    }
}

fn counts(totals: &Totals) -> BTreeMap<&'static str, Count> {
    let count = |verdict: &Verdict| {
        let (packets, bytes) = totals.get(verdict.name()).copied().unwrap_or_default();
        let action = verdict.action().name();
        let count = Count {
            action,
            packets,
            bytes,
        };
        (verdict.name(), count)
    };
    Verdict::ALL.iter().map(count).collect()
}
