//! A look at the maps: what the views are made of.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use serde::Serialize;
use snat_common::Verdict;

use crate::{
    commands::flows::loaded,
    datapath::{self, Found, Outlook, Pins, PortsTaken, Room, Traffic, Wanted},
    health::{Rates, Sample},
    instance,
};

/// Destinations whose ports are counted one by one: the fullest.
const DESTINATIONS: usize = 50;

/// What to look at, besides counters.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// A walk over the flow table.
    pub(super) traffic: Option<Wanted>,
    /// A walk over that and the mappings.
    pub(super) ports: bool,
}

/// What was seen; the JSON form of `top --json`, whose names are part of the contract.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    /// UTC.
    pub(super) time: String,
    /// Process id; traffic flows without one too.
    pub(super) daemon: Option<i32>,
    pub(super) flows: Room,
    pub(super) clients: Room,
    /// None at the first look.
    pub(super) rates: Option<Rates>,
    /// Of reasons that dropped any since the datapath was loaded.
    pub(super) drops: Vec<Dropped>,
    pub(super) traffic: Option<Found>,
    pub(super) ports: Option<Outlook>,
    #[serde(skip)]
    pub(super) took: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Dropped {
    pub(super) reason: &'static str,
    pub(super) packets: u64,
    /// None at the first look.
    pub(super) packets_per_second: Option<f64>,
    pub(super) meaning: &'static str,
}

/// Looks again and again, and remembers what rates need.
pub(super) struct Looker {
    name: String,
    counters: Option<Sample>,
    traffic: Traffic,
    ports: Option<PortsTaken>,
}

impl Looker {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            counters: None,
            traffic: Traffic::default(),
            ports: None,
        }
    }

    /// Looks now. After a failure rates begin anew: what is there then may be another datapath.
    pub(super) fn look(&mut self, asked: &Asked) -> anyhow::Result<Seen> {
        let seen = self.try_look(asked);
        if seen.is_err() {
            *self = Self::new(&self.name);
        }
        seen
    }

    fn try_look(&mut self, asked: &Asked) -> anyhow::Result<Seen> {
        let begun = Instant::now();
        let pins = loaded(&self.name)?;
        let (flows, clients) = datapath::crowd(&pins).context("cannot count flows and clients")?;
        let counters = Sample::take(&pins).context("cannot read the counters")?;
        let before = self.counters.as_ref();
        let rates = before.map(|before| Rates::between(before, &counters));
        let drops = dropped(&counters, rates.as_ref());
        self.counters = Some(counters);
        let traffic = asked.traffic.as_ref();
        let traffic = traffic.map(|wanted| self.traffic.look(&pins, wanted));
        let traffic = traffic.transpose().context("cannot list the flows")?;
        let ports = asked.ports.then(|| self.ports(&pins));
        let ports = ports.transpose().context("cannot count the ports")?;
        Ok(Seen {
            time: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            daemon: instance::daemon(&self.name),
            flows,
            clients,
            rates,
            drops,
            traffic,
            ports,
            took: begun.elapsed(),
        })
    }

    fn ports(&mut self, pins: &Pins) -> Result<Outlook, datapath::MapError> {
        let now = PortsTaken::count(pins)?;
        let before = self.ports.as_ref().unwrap_or(&now);
        let outlook = now.since(before, pins, DESTINATIONS);
        self.ports = Some(now);
        outlook
    }
}

impl Seen {
    /// Whether the next look will know rates that this one could not.
    pub(super) fn is_first(&self) -> bool {
        let traffic = self.traffic.as_ref();
        self.rates.is_none() || traffic.is_some_and(|found| found.seconds.is_none())
    }
}

fn dropped(counters: &Sample, rates: Option<&Rates>) -> Vec<Dropped> {
    let all = Verdict::drops().map(|verdict| {
        let reason = verdict.name();
        let rate = |rates: &Rates| rates.verdicts.get(reason).copied().unwrap_or_default();
        Dropped {
            reason,
            packets: counters.totals.get(reason).map_or(0, |total| total.0),
            packets_per_second: rates.map(rate),
            meaning: verdict.describe().trim(),
        }
    });
    all.filter(|dropped| dropped.packets > 0).collect()
}
