//! A walk over the flow table that keeps nothing of what it has seen: a table of a million flows is read in
//! batches, and only what a filter lets through is looked at closely.

use std::{
    collections::HashMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::net::if_::if_indextoname;
use snat_common::{Interface, settings::MAX_INTERFACES};

use super::{
    Filter, Flow, Pins,
    map::{Map, MapError, value},
    raw::{RawEntry, RawKey},
    sweep::now,
};

/// Calls `visit` for every flow that matches, in the table's order, which means nothing.
///
/// A flow that is opened or ends meanwhile may be missed; none comes twice. For rates see [`Scan::measured`].
///
/// # Errors
///
/// [`MapError`].
pub fn scan(pins: &Pins, filter: &Filter, visit: impl FnMut(&Flow)) -> Result<(), MapError> {
    Scan::open(pins, filter)?.for_each(visit)
}

/// A selection of the flow table, to be walked once or again and again.
pub struct Scan {
    flows: Map,
    /// Names of interfaces by their element of `INTERFACES`.
    enis: Vec<Option<Arc<str>>>,
    filter: Filter,
    before: Option<Sample>,
}

/// Bytes of both directions at a time, by the flow's `Out` key.
struct Sample {
    at: Instant,
    bytes: HashMap<RawKey, u64>,
}

impl Scan {
    /// Opens the table.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn open(pins: &Pins, filter: &Filter) -> Result<Self, MapError> {
        Ok(Self {
            flows: Map::open(pins.dir(), "FLOWS")?,
            enis: enis(pins)?,
            filter: filter.clone(),
            before: None,
        })
    }

    /// What it selects.
    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Counts bytes now and waits, so that a walk knows [`Flow::bits_per_second`]. Takes some 50 bytes of memory for
    /// each flow that is of these addresses, ports and protocols.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn measured(self, interval: Duration) -> Result<Self, MapError> {
        let ends = Self {
            filter: self.filter.ends(),
            before: None,
            ..self
        };
        let mut bytes = HashMap::new();
        let at = Instant::now();
        ends.for_each(|flow| {
            bytes.insert(flow.id, flow.bytes());
        })?;
        thread::sleep(interval.saturating_sub(at.elapsed()));
        Ok(Self {
            filter: self.filter,
            before: Some(Sample { at, bytes }),
            ..ends
        })
    }

    /// Calls `visit` for every flow that matches, as [`scan`] does.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn for_each(&self, mut visit: impl FnMut(&Flow)) -> Result<(), MapError> {
        let now = now();
        // Walks go the same way at the same pace, so between two looks at a flow is what is between their beginnings.
        let before = self.before.as_ref();
        let before = before.map(|before| (before, before.at.elapsed().as_secs_f64()));
        let mut value = [0; RawEntry::LEN];
        let mut failed = None;
        let mut pace = Pace::begin();
        self.flows.for_each(|key, entry| {
            pace.step();
            let (Some(key), Some(out)) = (RawKey::of(key), RawEntry::of(entry)) else {
                return;
            };
            if !out.is_out() {
                return;
            }
            let mut flow = self.outward(key, &out, now);
            if !self.filter.admits(&flow) {
                return;
            }
            match self.flows.read(&flow.in_key().bytes(), &mut value) {
                Ok(true) => flow.add_inward(&RawEntry::of(&value).expect("of that size"), now),
                // It ends just now.
                Ok(false) => {}
                Err(error) => failed = Some(error),
            }
            flow.bits_per_second = before.map(|(before, elapsed)| before.rate(&flow, elapsed));
            if self.filter.matches(&flow) {
                visit(&flow);
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn outward(&self, key: RawKey, out: &RawEntry, now: u32) -> Flow {
        // No packet of this flow has been routed before there is an MTU of the route.
        let slot = (out.mtu() != 0).then_some(usize::from(out.egress()));
        let eni = slot.and_then(|slot| self.enis.get(slot)?.clone());
        Flow::outward(key, out, eni, now)
    }
}

/// Keeps a long walk from crowding packets out of memory and caches: it rests for some of the time that it works.
struct Pace {
    steps: u32,
    since: Instant,
}

impl Pace {
    /// Elements between two rests: a small table is walked in one go.
    const STRETCH: u32 = 8192;

    fn begin() -> Self {
        Self {
            steps: 0,
            since: Instant::now(),
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        if self.steps == Self::STRETCH {
            thread::sleep(self.since.elapsed() / 2);
            *self = Self::begin();
        }
    }
}

impl Sample {
    fn rate(&self, flow: &Flow, elapsed: f64) -> f64 {
        let before = self.bytes.get(&flow.id).copied().unwrap_or_default();
        // Fewer than before: it has begun anew.
        let since = flow.bytes().checked_sub(before).unwrap_or(flow.bytes());
        (since as f64 * 8.0 / elapsed).round()
    }
}

fn enis(pins: &Pins) -> Result<Vec<Option<Arc<str>>>, MapError> {
    let map = Map::open(pins.dir(), "INTERFACES")?;
    (0..MAX_INTERFACES)
        .map(|slot| {
            let found = map.get(&slot.to_ne_bytes())?;
            let ifindex = found.map_or(0, |bytes| value::<Interface>(&bytes).ifindex);
            // One that is gone has no name any more.
            let name = if_indextoname(ifindex).ok();
            Ok(name.and_then(|name| name.to_str().ok().map(Arc::from)))
        })
        .collect()
}
