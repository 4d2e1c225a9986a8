//! Takes connections over, while the kernel goes on opening some.

use std::collections::BTreeSet;

use snat_common::{adopt::Adopted, transfer::Transfer};

use super::{Fate, Judge, Tally};
use crate::{
    config::Config,
    daemon::host::{gateway_links, host},
    datapath::{AdoptError, Adopter, Pins, desired, set_transfer},
    netlink::{self, conntrack},
};

/// Looks for what the kernel opened last, by packets that it had already.
const PASSES: u32 = 8;

/// What the configuration would make of the connections that there are, and the judge that says so.
///
/// # Errors
///
/// When the host or its connections cannot be read, or the configuration does not fit the host.
pub fn plan(config: &Config) -> anyhow::Result<(Judge, Tally)> {
    let links = gateway_links(config)?;
    let host = host(config, &links)?;
    let local: BTreeSet<_> = netlink::addresses()?
        .iter()
        .map(|address| address.addr)
        .collect();
    let judge = Judge::new(desired(config, &host)?, host, local);
    let mut tally = Tally::default();
    conntrack::for_each(|connection| tally.count(connection, judge.fate(connection)))?;
    Ok((judge, tally))
}

/// Takes over what the judge says.
pub struct Taker {
    judge: Judge,
    pins: Pins,
    taken: Taken,
}

/// How that went.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// What became of the connections, those included that began meanwhile.
    pub tally: Tally,
    /// How many of those that were taken over the kernel opened while others were.
    pub late: u64,
    /// Connections that could not be: their clients had opened them anew, or there was no room.
    pub lost: u64,
}

impl Taker {
    /// For the instance with these pins.
    #[must_use]
    pub fn new(judge: Judge, pins: Pins) -> Self {
        Self {
            judge,
            pins,
            taken: Taken::default(),
        }
    }

    /// Before the first packet: what has no flow is the kernel's until [`Taker::finish`], and what it has now, ours.
    ///
    /// # Errors
    ///
    /// When the maps, or the kernel's connections, cannot be used.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        set_transfer(&self.pins, Transfer::All)?;
        self.pass().map(drop)
    }

    /// With packets coming: takes over what the kernel has opened in between, and opens from here on.
    ///
    /// # Errors
    ///
    /// As [`Taker::begin`].
    pub fn finish(mut self) -> anyhow::Result<Taken> {
        let mut late = self.pass()?;
        // From here on the kernel opens none. What it has opened it translates until it is here.
        set_transfer(&self.pins, Transfer::Strays)?;
        for _ in 0..PASSES {
            let new = self.pass()?;
            late += new;
            if new == 0 {
                break;
            }
        }
        set_transfer(&self.pins, Transfer::None)?;
        self.taken.late = late;
        Ok(self.taken)
    }

    /// Goes through all connections once; how many were new.
    fn pass(&mut self) -> anyhow::Result<u64> {
        let adopter = Adopter::open(&self.pins)?;
        let (mut new, mut lost) = (0, 0);
        let mut others = Tally::default();
        let taken = &mut self.taken.tally;
        let mut failed: Option<AdoptError> = None;
        conntrack::for_each(|connection| {
            let fate = self.judge.fate(connection);
            let Fate::TakenOver(adoption) = fate else {
                return others.count(connection, fate);
            };
            if failed.is_some() {
                return;
            }
            match adopter.adopt(&adoption) {
                Ok(Adopted::Done) => {
                    taken.count(connection, fate);
                    new += 1;
                }
                Ok(Adopted::Already) => {}
                Ok(Adopted::Taken | Adopted::Full) => lost += 1,
                Err(error) => failed = Some(error),
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        // The last look says what is still not here.
        self.taken.lost = lost;
        taken.replace_others(others);
        Ok(new)
    }
}
