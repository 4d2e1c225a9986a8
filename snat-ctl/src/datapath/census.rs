//! What a walk over the tables counts: flows by what they are, ports by external address.
//!
//! The sweep walks them anyway. What it counts on the way is what metrics are made of, so that a scrape walks nothing.

use std::collections::BTreeMap;

use snat_common::{Direction, FlowEntry, FlowKey, Mapping, Protocol, State, life::first_state};

use super::{
    Pins, Pool,
    map::{Map, MapError, value},
    names::{PROTOCOLS, protocol_name, state_name},
    pools::Taken,
};

/// Room for every pair of the protocol's and the state's number.
const STATES: usize = 16;
const PAIRS: usize = 256 * STATES;

/// What TCP may be in.
const TCP_STATES: [State; 7] = [
    State::TcpSynSent,
    State::TcpSynReceived,
    State::TcpEstablished,
    State::TcpFinOut,
    State::TcpFinIn,
    State::TcpClosing,
    State::TcpReset,
];

/// Flows that count together: those of a protocol that are in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group(usize);

/// How many there were of everything.
#[derive(Clone, Debug)]
pub struct Census {
    flows: Vec<u64>,
    taken: Taken,
}

impl Default for Census {
    fn default() -> Self {
        Self {
            flows: vec![0; PAIRS],
            taken: Taken::default(),
        }
    }
}

impl Census {
    /// Walks the tables.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn take(pins: &Pins) -> Result<Self, MapError> {
        let mut census = Self::default();
        let flows = Map::open(pins.dir(), "FLOWS")?;
        flows.for_each(|key, entry| {
            census.flow(key, entry);
        })?;
        let mappings = Map::open(pins.dir(), "MAPPINGS")?;
        mappings.for_each(|key, mapping| census.mapping(key, &value(mapping)))?;
        Ok(census)
    }

    /// Flows by protocol and state, by their stable names. What can be is there, if only with 0.
    #[must_use]
    pub fn flows(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        let mut flows = BTreeMap::new();
        for (protocol, _) in PROTOCOLS {
            let first = [first_state(protocol, false)];
            let states = if protocol == Protocol::Tcp {
                &TCP_STATES[..]
            } else {
                &first
            };
            for state in states {
                flows.insert(names(protocol as u8, *state as u8), 0);
            }
        }
        for (pair, count) in self
            .flows
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            let pair = names((pair / STATES) as u8, (pair % STATES) as u8);
            *flows.entry(pair).or_default() += count;
        }
        flows
    }

    /// The ports that were taken, of the pools that the configuration makes now.
    ///
    /// # Errors
    ///
    /// [`MapError`] of what says which there are.
    pub fn pools(&self, pins: &Pins) -> Result<Vec<Pool>, MapError> {
        self.taken.of_pools(pins)
    }

    /// Elements of map `MAPPINGS`: of each mapping one from each side, and permissions.
    #[must_use]
    pub fn mapping_elements(&self) -> u64 {
        self.taken.elements()
    }

    /// Counts an element of `FLOWS`, and says as what: a flow is its `In` entry, which has the last word on its state.
    pub(super) fn flow(&mut self, key: &[u8], entry: &[u8]) -> Option<Group> {
        const PROTOCOL_AT: usize = std::mem::offset_of!(FlowKey, protocol);
        const DIRECTION_AT: usize = std::mem::offset_of!(FlowEntry, direction);
        const STATE_AT: usize = std::mem::offset_of!(FlowEntry, state);
        if entry[DIRECTION_AT] != Direction::In as u8 {
            return None;
        }
        let pair = usize::from(key[PROTOCOL_AT]) * STATES + usize::from(entry[STATE_AT]) % STATES;
        self.flows[pair] += 1;
        Some(Group(pair))
    }

    /// So many of those that were counted are no more.
    pub(super) fn flows_gone(&mut self, group: Group, removed: u32) {
        let flows = &mut self.flows[group.0];
        *flows = flows.saturating_sub(removed.into());
    }

    /// So many mappings were removed whose inner elements were counted.
    pub(super) fn inner_gone(&mut self, removed: u32) {
        self.taken.uncount(removed.into());
    }

    /// Counts an element of `MAPPINGS`.
    pub(super) fn mapping(&mut self, key: &[u8], mapping: &Mapping) {
        self.taken.count(key, mapping);
    }
}

fn names(protocol: u8, state: u8) -> (&'static str, &'static str) {
    (protocol_name(protocol), state_name(state))
}
