//! The order of flows in a list, and the first of a long one.

use std::{cmp::Ordering, collections::BinaryHeap};

use clap::ValueEnum;

use super::Flow;

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Most bytes first, both directions together.
    Bytes,
    /// Most packets first.
    Packets,
    /// Oldest first.
    Age,
    /// Idle for longest first.
    Idle,
    /// Most bits a second first.
    Rate,
    /// By the client's address and port.
    Client,
    /// By the external address and port.
    External,
    /// By the server's address and port.
    Server,
    /// By state.
    State,
    /// By protocol.
    Protocol,
}

/// An order, or its reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What by.
    pub sort: Sort,
    /// The other way round.
    pub reverse: bool,
}

impl Order {
    /// Which comes first. What is alike is by client and server, so that a list is always the same.
    #[must_use]
    pub fn compare(self, a: &Flow, b: &Flow) -> Ordering {
        let order = match self.sort {
            Sort::Bytes => b.bytes().cmp(&a.bytes()),
            Sort::Packets => b.packets().cmp(&a.packets()),
            Sort::Age => b.age_seconds.total_cmp(&a.age_seconds),
            Sort::Idle => b.idle_seconds.total_cmp(&a.idle_seconds),
            Sort::Rate => rate(b).total_cmp(&rate(a)),
            Sort::Client => ends(a).cmp(&ends(b)),
            Sort::External => (a.external, a.external_port).cmp(&(b.external, b.external_port)),
            Sort::Server => (a.server, a.server_port).cmp(&(b.server, b.server_port)),
            Sort::State => a.state.cmp(b.state),
            Sort::Protocol => a.protocol.cmp(&b.protocol),
        };
        let order = if self.reverse { order.reverse() } else { order };
        order
            .then_with(|| ends(a).cmp(&ends(b)))
            .then_with(|| a.id.cmp(&b.id))
    }
}

/// The first flows of an order, however many are offered: memory for no more than are wanted.
#[derive(Debug)]
pub struct Best {
    order: Order,
    limit: usize,
    kept: BinaryHeap<Ranked>,
}

impl Best {
    /// Keeps the first `limit`.
    #[must_use]
    pub fn new(order: Order, limit: usize) -> Self {
        Self {
            order,
            limit,
            kept: BinaryHeap::new(),
        }
    }

    /// Keeps the flow if it is among the first so far.
    pub fn offer(&mut self, flow: &Flow) {
        if self.kept.len() < self.limit {
            self.kept.push(self.ranked(flow));
            return;
        }
        let order = self.order;
        if let Some(mut last) = self.kept.peek_mut()
            && order.compare(flow, &last.flow) == Ordering::Less
        {
            *last = Ranked {
                flow: flow.clone(),
                order,
            };
        }
    }

    /// What was kept, in order.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Flow> {
        let sorted = self.kept.into_sorted_vec();
        sorted.into_iter().map(|ranked| ranked.flow).collect()
    }

    fn ranked(&self, flow: &Flow) -> Ranked {
        Ranked {
            flow: flow.clone(),
            order: self.order,
        }
    }
}

/// The heap's top is the last of the order.
#[derive(Debug)]
struct Ranked {
    flow: Flow,
    order: Order,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(&self.flow, &other.flow)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

fn ends(flow: &Flow) -> impl Ord {
    (flow.client, flow.client_port, flow.server, flow.server_port)
}

fn rate(flow: &Flow) -> f64 {
    flow.bits_per_second.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::{
        super::raw::{RawEntry, RawKey},
        Best, Flow, Order, Sort,
    };

    #[test]
    fn the_first_of_an_order_are_those_of_all_that_are_sorted() {
        let flows: Vec<_> = (0..200)
            .map(|number: u64| flow(number * 73 % 200))
            .collect();
        for sort in Sort::value_variants() {
            for reverse in [false, true] {
                let order = Order {
                    sort: *sort,
                    reverse,
                };
                let mut sorted = flows.clone();
                sorted.sort_by(|a, b| order.compare(a, b));
                for limit in [0, 1, 20, 200, 1000] {
                    let mut best = Best::new(order, limit);
                    flows.iter().for_each(|flow| best.offer(flow));
                    let best = best.into_sorted();
                    let ports = |flows: &[Flow]| {
                        flows
                            .iter()
                            .map(|flow| flow.client_port)
                            .collect::<Vec<_>>()
                    };
                    let expected = &sorted[..limit.min(200)];
                    assert_eq!(ports(&best), ports(expected), "{order:?}, {limit}");
                }
            }
        }
    }

    #[test]
    fn of_numbers_the_largest_come_first_and_of_names_the_smallest() {
        let first = |sort| {
            let mut best = Best::new(
                Order {
                    sort,
                    reverse: false,
                },
                1,
            );
            (0..10).for_each(|number| best.offer(&flow(number)));
            best.into_sorted()[0].client_port
        };
        assert_eq!(first(Sort::Bytes), 9);
        assert_eq!(first(Sort::Packets), 9);
        assert_eq!(first(Sort::Age), 9);
        assert_eq!(first(Sort::Rate), 9);
        assert_eq!(first(Sort::Client), 0);
    }

    fn flow(number: u64) -> Flow {
        let key = RawKey::of(&[0; RawKey::LEN]).expect("a key");
        let entry = RawEntry::of(&[0; RawEntry::LEN]).expect("an entry");
        Flow {
            client_port: number as u16,
            bytes_in: number / 10,
            bytes_out: number,
            packets_in: number,
            age_seconds: number as f64,
            bits_per_second: Some(number as f64),
            ..Flow::outward(key, &entry, None, 0)
        }
    }
}
