//! Who has traffic now: what every flow had since the walk before, added up by client and by server.

mod talkers;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Best, Filter, Flow, FlowId, Order, Pins, Scan, map::MapError};
use talkers::Talkers;
pub use talkers::{Talker, TalkerSort};

/// What a walk is to look for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Which flows.
    pub filter: Filter,
    /// Of each list at most so many, the first of its order.
    pub limit: usize,
    /// The order of flows.
    pub flows: Order,
    /// The order of clients, and whether it is reversed.
    pub clients: (TalkerSort, bool),
    /// That of servers.
    pub servers: (TalkerSort, bool),
}

/// What a walk found; its JSON form is part of the contract.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    /// Seconds that rates are over; none before there were two walks.
    pub seconds: Option<f64>,
    /// How many flows matched.
    pub matched: u64,
    /// How many clients they have, and servers: lists may be shorter.
    pub clients_matched: u64,
    /// See above.
    pub servers_matched: u64,
    /// Bits a second of all that matched, both directions.
    pub bits_per_second: f64,
    /// By the client's address.
    pub clients: Vec<Talker>,
    /// By the server's address.
    pub servers: Vec<Talker>,
    /// One by one.
    pub flows: Vec<Flow>,
}

/// Walks again and again. Keeps some 80 bytes of memory for each flow that it is to look for: sums over the flows that
/// there are would lose what ended flows had, and rates with it.
#[derive(Debug, Default)]
pub struct Traffic {
    /// What `seen` is of.
    filter: Filter,
    seen: HashMap<FlowId, Seen>,
    walked: Option<Instant>,
    walks: u32,
}

/// What a flow had.
#[derive(Clone, Copy, Debug)]
struct Seen {
    out: u64,
    into: u64,
    /// The low bits; a difference needs no more.
    packets: u32,
    /// In which walk.
    walk: u32,
}

/// What it had since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Since {
    out: u64,
    into: u64,
    packets: u64,
}

impl Traffic {
    /// Walks over the flow table. The first walk, and the first with another filter, finds no rates.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn look(&mut self, pins: &Pins, wanted: &Wanted) -> Result<Found, MapError> {
        let ends = wanted.filter.ends();
        if self.filter != ends {
            *self = Self {
                filter: ends,
                ..Self::default()
            };
        }
        let scan = Scan::open(pins, &self.filter)?;
        let now = Instant::now();
        let over = self.walked.replace(now).map(|before| now - before);
        self.walks = self.walks.wrapping_add(1);
        let mut sums = Sums::new(wanted, over);
        scan.for_each(|flow| {
            let since = self.since(flow, over.is_some());
            sums.add(flow, since);
        })?;
        let walk = self.walks;
        self.seen.retain(|_, seen| seen.walk == walk);
        Ok(sums.found(wanted))
    }

    /// What is new of a flow; of one that was not there before, all of it.
    fn since(&mut self, flow: &Flow, again: bool) -> Since {
        let now = Seen {
            out: flow.bytes_out,
            into: flow.bytes_in,
            packets: flow.packets() as u32,
            walk: self.walks,
        };
        let before = self.seen.insert(flow.id, now);
        if !again {
            return Since::default();
        }
        // One that has fewer than before has begun anew.
        let before = before.filter(|old| old.out <= now.out && old.into <= now.into);
        before.map_or(
            Since {
                out: now.out,
                into: now.into,
                packets: flow.packets(),
            },
            |old| Since {
                out: now.out - old.out,
                into: now.into - old.into,
                packets: now.packets.wrapping_sub(old.packets).into(),
            },
        )
    }
}

/// What a walk adds up.
struct Sums<'a> {
    filter: &'a Filter,
    seconds: Option<f64>,
    matched: u64,
    bits_per_second: f64,
    clients: Talkers,
    servers: Talkers,
    flows: Best,
}

impl<'a> Sums<'a> {
    fn new(wanted: &'a Wanted, over: Option<Duration>) -> Self {
        Self {
            filter: &wanted.filter,
            seconds: over.map(|over| over.as_secs_f64().max(0.001)),
            matched: 0,
            bits_per_second: 0.0,
            clients: Talkers::default(),
            servers: Talkers::default(),
            flows: Best::new(wanted.flows, wanted.limit),
        }
    }

    fn add(&mut self, flow: &Flow, since: Since) {
        let bits = |seconds: f64| (since.out + since.into) as f64 * 8.0 / seconds;
        let flow = Flow {
            bits_per_second: self.seconds.map(bits),
            ..flow.clone()
        };
        if !self.filter.matches(&flow) {
            return;
        }
        self.matched += 1;
        self.bits_per_second += flow.bits_per_second.unwrap_or_default();
        self.clients.add(flow.client, &flow, since);
        self.servers.add(flow.server, &flow, since);
        self.flows.offer(&flow);
    }

    fn found(self, wanted: &Wanted) -> Found {
        Found {
            seconds: self.seconds,
            matched: self.matched,
            clients_matched: self.clients.len(),
            servers_matched: self.servers.len(),
            bits_per_second: self.bits_per_second,
            clients: self
                .clients
                .first(wanted.limit, wanted.clients, self.seconds),
            servers: self
                .servers
                .first(wanted.limit, wanted.servers, self.seconds),
            flows: self.flows.into_sorted(),
        }
    }
}

#[cfg(test)]
mod tests;
