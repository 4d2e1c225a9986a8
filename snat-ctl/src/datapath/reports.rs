//! Dropped packets, as the datapath reports them while somebody watches.
//!
//! One ring buffer has one reader: whoever opens it holds [`crate::instance::Lock::take_reports`].

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt as _,
    },
};

use aya::maps::{MapData, RingBuf};
use ipnet::Ipv4Net;
use snat_common::{
    Event, Verdict,
    report::{Dropped, LEASE, Network, Watch},
};

use super::{
    Clock, Pins,
    map::{Map, MapError, bytes, value},
    occupancy::events,
    ring::ring,
    sweep::now,
};

const THE_ONE: [u8; 4] = [0; 4];

/// Which dropped packets are of interest.
#[derive(Clone, Debug)]
pub struct Interest {
    /// The reasons.
    pub reasons: Vec<Verdict>,
    /// Which sources.
    pub source: Ipv4Net,
    /// Which destinations.
    pub destination: Ipv4Net,
    /// Whether it is enough that either is.
    pub either: bool,
    /// Most packets in a second.
    pub per_second: u32,
}

/// Packets of interest that were not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// More than `per_second`.
    pub held_back: u64,
    /// There was no room: they were not read fast enough.
    pub lost: u64,
}

/// Why reports can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ReportsError {
    /// Of the maps.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Of the ring buffer's file.
    #[error("cannot look at the file of map DROPS: {0}")]
    File(#[from] io::Error),
    /// The instance was unloaded, and perhaps loaded anew.
    #[error(
        "the datapath was unloaded while it was watched; if it is loaded again, start this again"
    )]
    Unloaded,
}

/// The reader. The datapath reports while this lives and is [renewed](Self::renew). Its descriptor is readable when
/// there is something to [take](Self::take).
pub struct Reports {
    ring: RingBuf<MapData>,
    watch: Map,
    pins: Pins,
    /// The file by which the ring was opened.
    inode: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC`: what is older was for a reader before this one.
    since: u64,
    before: Unseen,
}

impl Reports {
    /// Asks the datapath to report.
    ///
    /// # Errors
    ///
    /// [`ReportsError`] of maps that are not there or not of this version.
    pub fn open(pins: &Pins, interest: &Interest) -> Result<Self, ReportsError> {
        let reports = Self {
            ring: ring(pins, "DROPS")?,
            watch: Map::open(pins.dir(), "WATCH")?,
            inode: fs::metadata(pins.dir().join("DROPS"))?.ino(),
            pins: pins.clone(),
            since: Clock::now().monotonic(),
            before: unseen(pins)?,
        };
        reports.watch.set(&THE_ONE, bytes(&interest.watch()))?;
        Ok(reports)
    }

    /// The next report, if there is one.
    pub fn take(&mut self) -> Option<Dropped> {
        while let Some(item) = self.ring.next() {
            if item.len() != size_of::<Dropped>() {
                continue;
            }
            let dropped: Dropped = value(&item);
            if dropped.time >= self.since {
                return Some(dropped);
            }
        }
        None
    }

    /// Asks to go on: at least once in two seconds.
    ///
    /// # Errors
    ///
    /// [`ReportsError::Unloaded`], or that of the map.
    pub fn renew(&self) -> Result<(), ReportsError> {
        let pinned = fs::metadata(self.pins.dir().join("DROPS"));
        if !pinned.is_ok_and(|file| file.ino() == self.inode) {
            return Err(ReportsError::Unloaded);
        }
        Ok(self.until(now().wrapping_add(LEASE))?)
    }

    /// What was not reported since this was opened.
    ///
    /// # Errors
    ///
    /// [`MapError`] of the counters.
    pub fn unseen(&self) -> Result<Unseen, MapError> {
        let now = unseen(&self.pins)?;
        Ok(Unseen {
            held_back: now.held_back.saturating_sub(self.before.held_back),
            lost: now.lost.saturating_sub(self.before.lost),
        })
    }

    /// A token that the datapath takes in this very moment may come back: one more report, at most.
    fn until(&self, until: u32) -> Result<(), MapError> {
        let Some(watch) = self.watch.get(&THE_ONE)? else {
            return Ok(());
        };
        let watch: Watch = value(&watch);
        self.watch.set(&THE_ONE, bytes(&Watch { until, ..watch }))
    }
}

impl AsFd for Reports {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        // Else it ends by itself, soon.
        let _ = self.until(now());
    }
}

impl Interest {
    fn watch(&self) -> Watch {
        Watch {
            verdicts: self
                .reasons
                .iter()
                .fold(0, |bits, reason| bits | 1 << (*reason as u8)),
            per_second: self.per_second,
            until: now().wrapping_add(LEASE),
            src: network(self.source),
            dst: network(self.destination),
            either: self.either.into(),
            ..Watch::default()
        }
    }
}

fn unseen(pins: &Pins) -> Result<Unseen, MapError> {
    let events = events(pins)?;
    let count = |event: Event| events.get(event.name()).copied().unwrap_or_default();
    Ok(Unseen {
        held_back: count(Event::ReportHeldBack),
        lost: count(Event::ReportLost),
    })
}

fn network(net: Ipv4Net) -> Network {
    Network {
        addr: net.network().octets(),
        mask: net.netmask().octets(),
    }
}
