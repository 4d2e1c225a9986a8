//! The engine over plain collections: no kernel, and a clock that stands until it is set.

mod contents;
mod env;
mod table;

use std::{
    cell::{Cell, RefCell, UnsafeCell},
    collections::HashMap,
    rc::Rc,
};

use snat_common::{
    Action, Addr, Busy, BusyKey, Client, Counter, Datagram, DatagramKey, Eni, Event, FlowEntry,
    FlowKey, Mapping, MappingKey, Outcome, Packet, Protocol, Shared, State, Untranslated, Verdict,
    Wire, clients, fast, life, log::LogRecord, mappings, parse::Parsed, place, policy,
    policy::Grant, process, sweep, work::Work,
};

pub(crate) use self::contents::{Contents, Ports};
use self::{env::Hooked, table::Table};
use crate::fib::Fib;

/// Which programs a frame meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// `snat_xdp`, and what that passes then meets those of TC.
    Xdp,
    /// `snat_tc` and those behind it.
    Tc,
}

/// The engine's surroundings and what it did in them.
pub(crate) struct Host {
    /// Ticks.
    pub(crate) clock: u32,
    /// A key whose bucket is busy: it can't be removed now.
    pub(crate) busy_bucket: Option<FlowKey>,
    pub(crate) contents: Contents,
    pub(crate) fib: Fib,
    /// Ports that the host itself listens on.
    pub(crate) sockets: Vec<(Protocol, u16)>,
    /// By verdict, as `VERDICTS` counts.
    pub(crate) counters: Vec<Counter>,
    /// Which program had the last word on the last frame.
    pub(crate) finished_by: Hook,
    pub(crate) flows: Table<FlowKey, FlowEntry>,
    pub(crate) mappings: Table<MappingKey, Mapping>,
    pub(crate) clients: Table<Addr, Client>,
    pub(crate) busy: Table<BusyKey, Busy>,
    pub(crate) datagrams: Table<DatagramKey, Datagram>,
    pub(crate) untranslated: Table<DatagramKey, Untranslated>,
    shared: UnsafeCell<Shared>,
    /// The ring of the flows that were opened last.
    opened: RefCell<HashMap<u32, FlowKey>>,
    events: Vec<Cell<u64>>,
    /// What was logged.
    pub(crate) log: RefCell<Vec<LogRecord>>,
    /// What was read of the packets under way.
    kept: RefCell<Vec<Rc<UnsafeCell<Parsed>>>>,
}

impl Host {
    /// With what the kernel's maps would hold.
    pub(crate) fn new(contents: Contents, fib: Fib) -> Self {
        let host = Self {
            clock: 1_000_000,
            busy_bucket: None,
            contents,
            fib,
            sockets: Vec::new(),
            counters: vec![Counter::default(); Verdict::ALL.len()],
            finished_by: Hook::Tc,
            flows: Table::default(),
            mappings: Table::default(),
            clients: Table::default(),
            busy: Table::default(),
            datagrams: Table::default(),
            untranslated: Table::default(),
            shared: UnsafeCell::default(),
            opened: RefCell::default(),
            events: vec![Cell::new(0); Event::ALL.len()],
            log: RefCell::default(),
            kept: RefCell::default(),
        };
        host.forward();
        host
    }

    /// Enters the mappings that the configuration makes.
    fn forward(&self) {
        for (key, mapping) in &self.contents.forwards {
            self.mappings.insert(key, mapping);
        }
    }

    /// Follows these policy routes, as the gateway does that is told of them.
    pub(crate) fn follow(&mut self, enis: HashMap<u32, Eni>, by_source: Vec<Addr>) {
        self.contents.enis = enis;
        self.contents.by_source = by_source;
        let settings = &mut self.contents.settings;
        settings.generation = settings.generation.wrapping_add(1);
    }

    /// Gives a frame to a program; what was decided, and the frame as it is then.
    pub(crate) fn run(&mut self, hook: Hook, ingress: u32, frame: &[u8]) -> (Outcome, Vec<u8>) {
        self.finished_by = hook;
        let mut frame = frame.to_vec();
        let outcome = self.decide(ingress, &mut frame);
        (outcome, frame)
    }

    fn decide(&mut self, ingress: u32, frame: &mut [u8]) -> Outcome {
        let for_others = self.is_for_others(ingress, frame);
        let mut packet = frame;
        if self.finished_by == Hook::Xdp {
            if let Some(outcome) = self.by_short_way(Hook::Xdp, ingress, &mut packet) {
                return outcome;
            }
            self.finished_by = Hook::Tc;
        }
        if for_others {
            let wire = Wire::one(packet.len() as u32);
            self.count(Verdict::NotOurs, wire);
            return passed(Verdict::NotOurs, wire);
        }
        if let Some(outcome) = self.by_short_way(Hook::Tc, ingress, &mut packet) {
            return outcome;
        }
        self.by_engine(ingress, &mut packet)
    }

    /// What the short way alone does with a frame, as a program has it; `None` if it leaves it.
    pub(crate) fn by_short_way(
        &mut self,
        hook: Hook,
        ingress: u32,
        packet: &mut impl Packet,
    ) -> Option<Outcome> {
        self.settle();
        let outcome = match hook {
            Hook::Xdp => fast(packet, &self.on::<false>(ingress)),
            Hook::Tc => fast(packet, &self.on::<true>(ingress)),
        }?;
        self.count(outcome.verdict, outcome.wire);
        Some(outcome)
    }

    /// What the engine alone does with a frame.
    pub(crate) fn by_engine(&mut self, ingress: u32, packet: &mut impl Packet) -> Outcome {
        self.settle();
        let mut outcome = process(packet, &self.on::<true>(ingress), false);
        self.count(outcome.verdict, outcome.wire);
        if outcome.verdict.action() == Action::Again {
            outcome = process(packet, &self.on::<true>(ingress), true);
            self.count(outcome.verdict, outcome.wire);
        }
        outcome
    }

    /// The hash that says where the search for a flow's port begins, if its client is of the entry with this index.
    pub(crate) fn search_hash(&self, flow: FlowKey, entry: u32) -> Option<u64> {
        let grant = Grant {
            entry,
            ..Grant::NONE
        };
        let mut work = Work::new(flow, grant);
        place::find(&self.on::<true>(0), &mut work).then_some(work.hash)
    }

    fn count(&mut self, verdict: Verdict, wire: Wire) {
        let counter = &mut self.counters[verdict as usize];
        counter.packets += u64::from(wire.packets);
        counter.bytes += u64::from(wire.bytes);
    }

    /// What the kernel calls `PACKET_OTHERHOST`: for one station, and that is not the interface.
    fn is_for_others(&self, ingress: u32, frame: &[u8]) -> bool {
        let mut interfaces = self.contents.interfaces.iter();
        let own = interfaces.find(|own| own.ifindex == ingress);
        frame.len() >= 6 && frame[0] & 1 == 0 && own.is_none_or(|own| frame[..6] != own.mac)
    }

    /// Whether the program on the way out would stop the frame, which came in by `ingress`.
    pub(crate) fn leaks(&self, ingress: u32, mut frame: Vec<u8>) -> bool {
        policy::leaks(&frame.as_mut_slice(), &self.on::<true>(ingress))
    }

    /// As the sweep does for one flow's key.
    pub(crate) fn bury(&mut self, in_key: &FlowKey, force: bool) -> bool {
        self.settle();
        life::bury(&self.on::<true>(0), in_key, self.clock, force)
    }

    /// As the sweep does for a selected flow, by its `Out` key.
    pub(crate) fn flush(&mut self, out_key: &FlowKey, looked: u32, unused: bool) -> bool {
        self.settle();
        sweep::flush(&self.on::<true>(0), out_key, looked, unused, self.clock)
    }

    /// As the sweep does for a flow that the configuration allows no longer, by its `Out` key.
    pub(crate) fn end(&mut self, out_key: &FlowKey, looked: u32) -> bool {
        self.settle();
        sweep::end_flow(&self.on::<true>(0), out_key, looked, self.clock)
    }

    /// As the sweep does for everything.
    pub(crate) fn sweep(&mut self) {
        self.settle();
        let env = self.on::<true>(0);
        for (key, _) in self.flows.copies() {
            life::bury(&env, &key, self.clock, false);
        }
        for (key, _) in self.mappings.copies() {
            mappings::retire(&env, &key, self.clock);
        }
        for (addr, _) in self.clients.copies() {
            clients::retire(&env, addr, self.clock);
        }
    }

    /// Everything as it was before the first packet, but for the counters.
    pub(crate) fn clear(&mut self) {
        self.flows.clear();
        self.mappings.clear();
        self.clients.clear();
        self.busy.clear();
        *self.shared.get_mut() = Shared::default();
        self.forward();
    }

    /// Every entry of the flow table.
    pub(crate) fn entries(&self) -> Vec<(FlowKey, FlowEntry)> {
        self.flows.copies()
    }

    /// What all CPUs count together.
    pub(crate) fn shared(&mut self) -> Shared {
        *self.shared.get_mut()
    }

    /// How often something happened.
    pub(crate) fn happened(&self, event: Event) -> u64 {
        self.events[event as usize].get()
    }

    /// Marks an entry dead, as another CPU would that is about to remove it.
    pub(crate) fn kill(&mut self, key: &FlowKey) {
        use snat_common::Env as _;
        if let Some(flow) = self.on::<true>(0).flow(key) {
            flow.set_state(State::Dead as u8);
        }
    }

    /// Removes one entry and not its partner.
    pub(crate) fn forget(&mut self, key: &FlowKey) {
        self.flows.remove(key);
    }

    fn settle(&mut self) {
        self.flows.settle();
        self.mappings.settle();
        self.clients.settle();
        self.busy.settle();
        self.datagrams.settle();
        self.untranslated.settle();
        self.kept.get_mut().clear();
    }

    fn on<const RESOLVES: bool>(&self, ingress: u32) -> Hooked<'_, RESOLVES> {
        Hooked {
            host: self,
            ingress,
        }
    }
}

fn passed(verdict: Verdict, wire: Wire) -> Outcome {
    Outcome {
        verdict,
        hop: snat_common::next_hop::Hop::NONE,
        wire,
    }
}
