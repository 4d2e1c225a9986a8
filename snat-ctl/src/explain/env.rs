//! The engine's third home: an instance's live maps, read and never written to.

use snat_common::{
    Addr, Busy, BusyKey, BusyRef, Client, ClientRef, DatagramHead, DatagramKey, DatagramRef, Eni,
    Env, Event, FlowEntry, FlowKey, FlowRef, Held, Insert, Interface, Mapping, MappingKey,
    MappingRef, Route, RouteQuery, Settings, SharedRef, SnatEntry, Untranslated, Verdict,
    claim::claim,
    env::Step,
    log::LogRecord,
    next_hop::not_forwarded,
    parse::Parsed,
    policy::Grant,
    settings::{MAX_CLIENTS, PORT_SET_SLOTS, PORT_WORDS},
    work::Work,
};

use super::{
    evidence::{Asked, SeenMapping},
    view::View,
};
use crate::datapath::bytes;

/// One packet's surroundings.
pub(super) struct At<'a> {
    view: &'a View,
    ingress: u32,
}

impl<'a> At<'a> {
    /// Of a packet that came in by `ingress`.
    pub(super) const fn new(view: &'a View, ingress: u32) -> Self {
        Self { view, ingress }
    }
}

impl Env for At<'_> {
    /// What XDP passes on, TC decides: it has the last word.
    const RESOLVES_NEIGHBOURS: bool = true;
    const ONE_AFTER_THE_OTHER: bool = false;

    fn now(&self) -> u32 {
        self.view.now
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.view.tables.settings)
    }

    fn ingress(&self) -> u32 {
        self.ingress
    }

    fn flow(&self, key: &FlowKey) -> Option<FlowRef<'_>> {
        let flow = self.view.answer(self.view.tables.flow(key));
        let seen = flow.map(|flow| self.view.seen_flow(key, flow));
        self.view.note(Asked::Flow(*key, seen));
        flow
    }

    fn insert(&self, key: &FlowKey, entry: &FlowEntry) -> Insert {
        let flows = &self.view.tables.flows;
        let inserted = match self.view.answer(flows.get(bytes(key))) {
            None if !self.view.tables.has_room() => Some(Insert::Full),
            _ => self.view.answer(flows.insert(bytes(key), entry).map(Some)),
        };
        let inserted = inserted.unwrap_or(Insert::Full);
        self.view.note(Asked::Entered(*key, inserted));
        inserted
    }

    fn remove(&self, key: &FlowKey) -> bool {
        self.view.tables.flows.remove(bytes(key));
        true
    }

    fn mapping(&self, key: &MappingKey) -> Option<MappingRef<'_>> {
        let mapping = self.view.answer(self.view.tables.mapping(key));
        let seen = mapping.as_ref().map(seen_mapping);
        self.view.note(Asked::Mapping(*key, seen));
        mapping
    }

    fn add_mapping(&self, key: &MappingKey, mapping: &Mapping) -> Insert {
        let inserted = self.view.tables.mappings.insert(bytes(key), mapping);
        let inserted = self.view.answer(inserted.map(Some)).unwrap_or(Insert::Full);
        self.view.note(Asked::Mapped(*key, inserted));
        inserted
    }

    fn remove_mapping(&self, key: &MappingKey) -> bool {
        self.view.tables.mappings.remove(bytes(key));
        true
    }

    fn client(&self, addr: Addr) -> Option<ClientRef<'_>> {
        let client = self.view.answer(self.view.tables.client(addr));
        let flows = client.map_or(0, |client| Held::holders(client.held().read()));
        self.view.note(Asked::Client(addr, flows));
        client
    }

    fn add_client(&self, addr: Addr, client: &Client) -> bool {
        let shared = self.view.answer(self.view.tables.shared());
        if shared.is_some_and(|shared| shared.load().1 >= MAX_CLIENTS.into()) {
            return false;
        }
        let inserted = self.view.tables.clients.insert(&addr, client);
        self.view.answer(inserted.map(|_| true))
    }

    fn remove_client(&self, addr: Addr) -> bool {
        self.view.tables.clients.remove(&addr);
        true
    }

    fn busy(&self, key: &BusyKey) -> Option<BusyRef<'_>> {
        self.view.answer(self.view.tables.busy(key))
    }

    /// What is explained opens no flow that another packet could see.
    fn remember(&self, _place: u32, _in_key: &FlowKey) {}

    fn remembered(&self, place: u32) -> Option<FlowKey> {
        self.view.answer(self.view.tables.remembered(place))
    }

    fn begin_busy(&self, key: &BusyKey) {
        let nothing = Busy {
            looked: 0,
            cursor: 0,
            freed: 0,
            full: [0; PORT_SET_SLOTS as usize],
            taken: [0; PORT_WORDS as usize],
        };
        self.view.tables.busy.put(bytes(key), &nothing);
    }

    /// A few packets are explained, then the program ends: their memory is not given back.
    fn keep(&self, parsed: Parsed) -> Option<&mut Parsed> {
        Some(Box::leak(Box::new(parsed)))
    }

    fn open(&self, key: &FlowKey, grant: &Grant, now: u32) -> Verdict {
        self.view.note(Asked::Open(*grant));
        let verdict = claim(self, &mut Work::new(*key, *grant), now);
        self.view.note(Asked::Opened(verdict));
        verdict
    }

    /// No packet that is explained is in fragments.
    fn datagram(&self, _key: &DatagramKey) -> Option<DatagramRef<'_>> {
        None
    }

    fn begin_datagram(&self, _key: &DatagramKey, _head: &DatagramHead) -> bool {
        false
    }

    fn untranslated(&self, _key: &DatagramKey) -> Option<Untranslated> {
        None
    }

    fn note_untranslated(&self, _key: &DatagramKey, _first: &Untranslated) {}

    fn shared(&self) -> Option<SharedRef<'_>> {
        self.view.answer(self.view.tables.shared())
    }

    /// Nothing is counted.
    fn event(&self, _event: Event) {}

    fn searched(&self, _tries: u32) {}

    /// Nor is anything noted.
    fn log(&self, _record: &LogRecord) {}

    fn source_entry(&self, addr: Addr) -> Option<u32> {
        let entry = self.view.answer(self.view.tables.source_entry(addr));
        self.view.note(Asked::Source(addr, entry));
        entry
    }

    fn bypassed(&self, addr: Addr) -> bool {
        let bypassed = self.view.answer(self.view.tables.bypassed(addr));
        self.view.note(Asked::Bypass(addr, bypassed));
        bypassed
    }

    fn external(&self, addr: Addr) -> Option<u32> {
        let sets = self.view.answer(self.view.tables.external(addr));
        self.view.note(Asked::External(addr, sets));
        sets
    }

    fn has_socket(&self, key: &FlowKey) -> bool {
        let found = self
            .view
            .answer(self.view.look.has_socket(self.ingress, key));
        self.view.note(Asked::Socket(*key, found));
        found
    }

    fn entry(&self, index: u32) -> Option<&SnatEntry> {
        self.view.answer(self.view.tables.entry(index))
    }

    fn pool(&self, index: u32) -> Option<Addr> {
        self.view.answer(self.view.tables.pool(index))
    }

    fn port_counts(&self, set: u32) -> (u32, u32) {
        let counts = self.view.answer(self.view.tables.ports.counts(set));
        counts.unwrap_or_default()
    }

    fn allowed(&self, set: u32, word: u32) -> u64 {
        let allowed = self.view.answer(self.view.tables.ports.allowed(set, word));
        allowed.unwrap_or_default()
    }

    fn port(&self, set: u32, index: u32) -> Option<u16> {
        self.view.answer(self.view.tables.ports.port(set, index))
    }

    fn slot(&self, ifindex: u32) -> Option<u32> {
        let slot = self.view.answer(self.view.tables.slot(ifindex));
        self.view.note(Asked::Managed(ifindex, slot.is_some()));
        slot
    }

    fn interface(&self, slot: u32) -> Option<&Interface> {
        self.view.answer(self.view.tables.interface(slot))
    }

    fn eni(&self, ifindex: u32) -> Option<&Eni> {
        self.view.answer(self.view.tables.eni(ifindex))
    }

    fn has_own_routes(&self, src: Addr) -> bool {
        let has = self.view.answer(self.view.tables.has_own_routes(src));
        if has {
            self.view.note(Asked::OwnRoutes(src));
        }
        has
    }

    fn repeat<S: Step>(&self, limit: u32, step: &mut S) {
        for index in 0..limit {
            if step.turn(index) {
                break;
            }
        }
    }

    fn route(&self, query: &RouteQuery) -> Route {
        let route = self.view.look.route(self.ingress, query);
        let route = self.view.answer(route.map(Some));
        let route = route.unwrap_or_else(not_forwarded);
        self.view.note(Asked::Route(*query, route));
        route
    }
}

fn seen_mapping(mapping: &MappingRef<'_>) -> SeenMapping {
    let holders = Held::holders(mapping.held().read());
    SeenMapping {
        target: mapping.target(),
        holders: (holders != u32::MAX).then_some(holders),
        filtering: mapping.filtering(),
        is_static: mapping.is_static(),
    }
}
