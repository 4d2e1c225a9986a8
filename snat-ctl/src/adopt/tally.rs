//! What becomes of all connections: counts, and some of those that are cut.

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddrV4};

use serde::Serialize;

use super::{Fate, Reason};
use crate::{datapath::protocol_label, netlink::conntrack::Connection};

/// Of the connections that are cut for one reason, this many are named.
const EXAMPLES: usize = 10;

/// Counts by what becomes of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Taken over.
    pub taken_over: u64,
    /// The same by protocol.
    pub by_protocol: BTreeMap<Cow<'static, str>, u64>,
    /// Not the gateway's: they go on as they are.
    pub left_to_the_kernel: u64,
    /// Over.
    pub ended: u64,
    /// Cut, by reason.
    pub cut: Vec<Cut>,
}

/// Connections that are cut for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct Cut {
    /// Which.
    pub reason: Reason,
    /// What it means and what helps.
    pub meaning: &'static str,
    /// How many.
    pub count: u64,
    /// The first few.
    pub examples: Vec<Example>,
}

/// A connection as the kernel has it.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// `tcp`, `udp`, …, or a number.
    pub protocol: Cow<'static, str>,
    /// Who opened it.
    pub source: SocketAddrV4,
    /// To whom.
    pub destination: SocketAddrV4,
    /// As whom the destination sees the source.
    pub external: SocketAddrV4,
    /// Whom the destination stands for.
    pub internal: SocketAddrV4,
}

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, connection: &Connection, fate: Fate) {
        match fate {
            Fate::TakenOver(_) => {
                self.taken_over += 1;
                let protocol = label(connection.protocol);
                *self.by_protocol.entry(protocol).or_default() += 1;
            }
            Fate::Stays => self.left_to_the_kernel += 1,
            Fate::Ended => self.ended += 1,
            Fate::Cut(reason) => self.cut(reason, connection),
        }
    }

    /// Takes all but those that are taken over from another count.
    pub(super) fn replace_others(&mut self, others: Self) {
        *self = Self {
            taken_over: self.taken_over,
            by_protocol: std::mem::take(&mut self.by_protocol),
            ..others
        };
    }

    /// How many are cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cut.iter().map(|cut| cut.count).sum()
    }

    fn cut(&mut self, reason: Reason, connection: &Connection) {
        let index = match self.cut.binary_search_by_key(&reason, |cut| cut.reason) {
            Ok(index) => index,
            Err(index) => {
                let cut = Cut {
                    reason,
                    meaning: reason.describe(),
                    count: 0,
                    examples: Vec::new(),
                };
                self.cut.insert(index, cut);
                index
            }
        };
        let cut = &mut self.cut[index];
        cut.count += 1;
        if cut.examples.len() < EXAMPLES {
            cut.examples.push(Example::of(connection));
        }
    }
}

impl Example {
    fn of(connection: &Connection) -> Self {
        Self {
            protocol: label(connection.protocol),
            source: connection.original.src,
            destination: connection.original.dst,
            external: connection.reply.dst,
            internal: connection.reply.src,
        }
    }
}

fn label(protocol: u8) -> Cow<'static, str> {
    let known = crate::datapath::known_protocol(protocol);
    known.map_or_else(|| protocol_label(0, protocol), Cow::from)
}
