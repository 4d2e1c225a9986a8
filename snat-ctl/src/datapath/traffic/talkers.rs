//! One end of many flows, added up.

use std::{cmp::Ordering, collections::HashMap, net::Ipv4Addr};

use clap::ValueEnum;
use serde::Serialize;

use super::{Flow, Since};

/// A client or a server, and what its flows have; its JSON form is part of the contract.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Talker {
    /// Its address.
    pub address: Ipv4Addr,
    /// How many.
    pub flows: u64,
    /// Bytes since they were opened, both directions.
    pub bytes: u64,
    /// Bits a second from clients; as the other rates none before there were two walks.
    pub bits_out: Option<f64>,
    /// Bits a second to clients.
    pub bits_in: Option<f64>,
    /// Packets a second, both directions.
    pub packets: Option<f64>,
}

/// What a list of these is sorted by: with numbers the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TalkerSort {
    /// Bits a second, both directions.
    Rate,
    /// Packets a second.
    Packets,
    /// How many flows.
    Flows,
    /// Bytes of the flows there are.
    Bytes,
    /// The address.
    Address,
}

impl TalkerSort {
    /// Which comes first. What is alike is by address.
    #[must_use]
    pub fn compare(self, reverse: bool, a: &Talker, b: &Talker) -> Ordering {
        let number = |of: Option<f64>| of.unwrap_or_default();
        let order = match self {
            Self::Rate => b.bits().total_cmp(&a.bits()),
            Self::Packets => number(b.packets).total_cmp(&number(a.packets)),
            Self::Flows => b.flows.cmp(&a.flows),
            Self::Bytes => b.bytes.cmp(&a.bytes),
            Self::Address => a.address.cmp(&b.address),
        };
        let order = if reverse { order.reverse() } else { order };
        order.then_with(|| a.address.cmp(&b.address))
    }
}

impl Talker {
    /// Bits a second, both directions; 0 before there were two walks.
    #[must_use]
    pub fn bits(&self) -> f64 {
        self.bits_out.unwrap_or_default() + self.bits_in.unwrap_or_default()
    }
}

/// Sums by address.
#[derive(Default)]
pub(super) struct Talkers(HashMap<Ipv4Addr, Sum>);

#[derive(Default)]
struct Sum {
    flows: u32,
    bytes: u64,
    since: Since,
}

impl Talkers {
    pub(super) fn add(&mut self, address: Ipv4Addr, flow: &Flow, since: Since) {
        let sum = self.0.entry(address).or_default();
        sum.flows += 1;
        sum.bytes += flow.bytes();
        sum.since.out += since.out;
        sum.since.into += since.into;
        sum.since.packets += since.packets;
    }

    /// How many addresses.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// The first of an order.
    pub(super) fn first(
        self,
        limit: usize,
        (sort, reverse): (TalkerSort, bool),
        seconds: Option<f64>,
    ) -> Vec<Talker> {
        let mut all: Vec<_> = self
            .0
            .into_iter()
            .map(|(address, sum)| sum.talker(address, seconds))
            .collect();
        all.sort_unstable_by(|a, b| sort.compare(reverse, a, b));
        all.truncate(limit);
        all
    }
}

impl Sum {
    fn talker(&self, address: Ipv4Addr, seconds: Option<f64>) -> Talker {
        let per_second = |number: u64| seconds.map(|seconds| number as f64 / seconds);
        Talker {
            address,
            flows: self.flows.into(),
            bytes: self.bytes,
            bits_out: per_second(self.since.out * 8),
            bits_in: per_second(self.since.into * 8),
            packets: per_second(self.since.packets),
        }
    }
}
