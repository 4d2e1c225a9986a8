//! An instance as explanations see it: its tables, its routes, and what was asked of them.

use std::cell::RefCell;

use snat_common::{Direction, FlowKey, FlowRef, Life, clock::age, life};

use super::{
    ExplainError,
    env::At,
    evidence::{Asked, SeenFlow},
    look::Look,
    tables::Tables,
};
use crate::datapath::{Pins, sweep};

/// An instance as it is now, and as the packets that are explained would leave it. Time stands still in it.
pub(super) struct View {
    pub(super) tables: Tables,
    pub(super) look: Look,
    pub(super) now: u32,
    asked: RefCell<Vec<Asked>>,
    /// The first thing that went wrong: the engine knows no errors.
    failed: RefCell<Option<ExplainError>>,
}

impl View {
    /// Opens what is pinned.
    pub(super) fn open(pins: &Pins) -> Result<Self, ExplainError> {
        Ok(Self {
            tables: Tables::open(pins)?,
            look: Look::open(pins)?,
            now: sweep::now(),
            asked: RefCell::default(),
            failed: RefCell::default(),
        })
    }

    /// The surroundings of a packet that came in by `ingress`.
    pub(super) fn at(&self, ingress: u32) -> At<'_> {
        At::new(self, ingress)
    }

    /// What was asked since this was last called.
    ///
    /// # Errors
    ///
    /// The first thing that could not be answered.
    pub(super) fn evidence(&self) -> Result<Vec<Asked>, ExplainError> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(self.asked.take()),
        }
    }

    /// The link-layer address of one of the gateway's interfaces; zeros for any other.
    pub(super) fn station(&self, ifindex: u32) -> Result<[u8; 6], ExplainError> {
        let Some(slot) = self.tables.slot(ifindex)? else {
            return Ok([0; 6]);
        };
        let interface = self.tables.interface(slot)?;
        Ok(interface.map_or([0; 6], |interface| interface.mac))
    }

    /// How long both directions of a flow, and each of its packets, are known.
    pub(super) fn seen_flow(&self, key: &FlowKey, flow: FlowRef<'_>) -> SeenFlow {
        let life = flow.life();
        let other = self.answer(self.tables.flow(&life::partner(key, flow)));
        let idle = |life: Life| age(self.now, life.last_seen());
        SeenFlow {
            direction: if life.is_inbound() {
                Direction::In
            } else {
                Direction::Out
            },
            target: flow.target(),
            state: life.state(),
            age: age(self.now, flow.created()),
            idle: other.map_or(idle(life), |other| idle(life).min(idle(other.life()))),
            packets: flow.packets(),
        }
    }

    pub(super) fn note(&self, asked: Asked) {
        self.asked.borrow_mut().push(asked);
    }

    /// An answer, or nothing where there was an error; that is kept.
    pub(super) fn answer<T: Default, E: Into<ExplainError>>(&self, answer: Result<T, E>) -> T {
        answer.unwrap_or_else(|error| {
            self.failed.borrow_mut().get_or_insert(error.into());
            T::default()
        })
    }
}
