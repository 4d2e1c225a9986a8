//! What the screen is made of, and when to look again.

use std::time::{Duration, Instant};

use super::{
    listing,
    look::{Asked, Seen},
    orders::Orders,
    sampler::Answer,
};
use crate::{
    cli::top::{Selection, TopArgs, View},
    datapath::{Filter, Found, Outlook, Wanted},
    output::told,
};

/// Rows of a list that are kept: more than a screen has.
const KEPT: usize = 200;
/// Until the second look, without which there are no rates.
const FIRST: Duration = Duration::from_millis(500);
/// While there is nothing to look at.
const WAIT: Duration = Duration::from_secs(1);
/// Of the time, looks may take one part of so many.
const SHARE: u32 = 5;

/// What is shown, and how.
pub(super) struct State {
    pub(super) name: String,
    pub(super) view: View,
    pub(super) orders: Orders,
    pub(super) selection: Selection,
    /// The line that a filter is written in.
    pub(super) editing: Option<Editing>,
    pub(super) paused: bool,
    pub(super) help: bool,
    pub(super) interval: Duration,
    /// Rows above the first that is shown.
    pub(super) scroll: usize,
    /// The last look.
    pub(super) seen: Option<Seen>,
    /// Of the last look that had it.
    pub(super) traffic: Option<Found>,
    /// Likewise.
    pub(super) ports: Option<Outlook>,
    /// Why there was nothing to see at the last look.
    pub(super) trouble: Option<String>,
    next: Next,
}

/// A filter while it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Editing {
    pub(super) text: String,
    /// Why it is none.
    pub(super) error: Option<String>,
}

/// The next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    At(Instant),
    /// One is under way.
    Asked {
        since: Instant,
        /// What is shown has changed meanwhile.
        again: bool,
    },
}

impl State {
    pub(super) fn new(name: &str, args: &TopArgs, orders: Orders, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            view: args.view,
            orders,
            selection: args.filter.clone(),
            editing: None,
            paused: false,
            help: false,
            interval: args.interval,
            scroll: 0,
            seen: None,
            traffic: None,
            ports: None,
            trouble: None,
            next: Next::At(now),
        }
    }

    /// What is to be looked at, if it is time.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Asked> {
        match self.next {
            Next::At(at) if now >= at && !self.paused => {
                self.next = Next::Asked {
                    since: now,
                    again: false,
                };
                Some(self.asked())
            }
            _ => None,
        }
    }

    /// What the view needs.
    pub(super) fn asked(&self) -> Asked {
        let walks = matches!(self.view, View::Sources | View::Destinations | View::Flows);
        Asked {
            traffic: walks.then(|| wanted(&self.selection.filter, &self.orders)),
            ports: self.view == View::Pools,
        }
    }

    /// Shows what was seen, or why nothing was.
    pub(super) fn take(&mut self, answer: Answer, now: Instant) {
        let mut again = false;
        let mut begun = now;
        if let Next::Asked { since, again: anew } = self.next {
            (begun, again) = (since, anew);
        }
        match answer {
            Ok(seen) => {
                let pause = if again {
                    Duration::ZERO
                } else if seen.is_first() {
                    self.interval.min(FIRST)
                } else {
                    self.pause(seen.took)
                };
                self.next = Next::At(begun + pause);
                self.show(seen);
            }
            Err(error) => {
                self.next = Next::At(now + WAIT);
                self.trouble = Some(told(&error));
                (self.seen, self.traffic, self.ports) = (None, None, None);
            }
        }
    }

    /// Looks as soon as may be: something else is shown now.
    pub(super) fn hurry(&mut self, now: Instant) {
        match &mut self.next {
            Next::At(at) => *at = now,
            Next::Asked { again, .. } => *again = true,
        }
    }

    /// Time from the beginning of a look to that of the next, if a look takes so long.
    pub(super) fn pause(&self, took: Duration) -> Duration {
        self.interval.max(took * SHARE)
    }

    /// Whether looks are further apart than was asked for, and what one takes.
    pub(super) fn stretched(&self) -> Option<Duration> {
        let took = self.seen.as_ref()?.took;
        (self.pause(took) > self.interval).then_some(took)
    }

    fn show(&mut self, mut seen: Seen) {
        self.trouble = None;
        self.traffic = seen.traffic.take().or(self.traffic.take());
        self.ports = seen.ports.take().or(self.ports.take());
        self.seen = Some(seen);
        self.bound_scroll();
    }

    /// There is a row to see, if there is any.
    pub(super) fn bound_scroll(&mut self) {
        let rows = listing::of(self).rows.len();
        self.scroll = self.scroll.min(rows.saturating_sub(1));
    }
}

/// The walk that lists of these flows in these orders need.
pub(super) fn wanted(filter: &Filter, orders: &Orders) -> Wanted {
    Wanted {
        filter: filter.clone(),
        limit: KEPT,
        flows: orders.flows(),
        clients: orders.talkers(View::Sources),
        servers: orders.talkers(View::Destinations),
    }
}

#[cfg(test)]
mod tests;
