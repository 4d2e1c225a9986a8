//! The measurements, one file each: a function measures every contender once, and adds what it got.

pub(crate) mod bulk;
pub(crate) mod claim;
mod connect_rate;
mod daemon;
mod disturbance;
mod drip;
pub(crate) mod established;
mod frames;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod new_flows;
mod offer;
mod programs;
mod startup;
mod steadily;
mod times;

use anyhow::Result;

use crate::bench::Bench;

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it measures, in a few words.
    pub(crate) about: &'static str,
    /// In how many rounds at most: what hardly varies need not be repeated often.
    pub(crate) rounds: u32,
    /// One round of it: every contender once.
    pub(crate) run: fn(&mut Bench) -> Result<()>,
}

/// All of them, in the order of the report.
pub(crate) const ALL: &[Measure] = &[
    established::MEASURE,
    new_flows::MEASURE,
    connect_rate::MEASURE,
    claim::MEASURE,
    memory::MEASURE,
    bulk::MEASURE,
    latency::MEASURE,
    programs::MEASURE,
    startup::MEASURE,
    disturbance::MEASURE,
];

impl Measure {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|measure| measure.name == name).copied()
    }
}
