//! What the engine asks for, answered from plain collections.

use std::{cell::UnsafeCell, ptr::NonNull, rc::Rc};

use snat_common::{
    Addr, Busy, BusyKey, BusyRef, Client, ClientRef, Datagram, DatagramHead, DatagramKey,
    DatagramRef, Eni, Env, Event, FlowEntry, FlowKey, FlowRef, Insert, Interface, Mapping,
    MappingKey, MappingRef, Route, RouteQuery, Settings, SharedRef, SnatEntry, Untranslated,
    Verdict,
    claim::claim,
    env::Step,
    log::LogRecord,
    parse::Parsed,
    policy::Grant,
    settings::{PORT_SET_SLOTS, PORT_WORDS},
    work::Work,
};

use super::Host;
use crate::fib::contains;

/// The surroundings of one packet.
///
/// Why the `unsafe` below is sound: [`super::table::Table::get`] says how long its pointers live, everything
/// is one thread's, and the engine makes no Rust reference to an element.
pub(super) struct Hooked<'a, const RESOLVES: bool> {
    pub(super) host: &'a Host,
    pub(super) ingress: u32,
}

impl<const RESOLVES: bool> Env for Hooked<'_, RESOLVES> {
    const RESOLVES_NEIGHBOURS: bool = RESOLVES;
    const ONE_AFTER_THE_OTHER: bool = false;

    fn now(&self) -> u32 {
        self.host.clock
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.host.contents.settings)
    }

    fn ingress(&self) -> u32 {
        self.ingress
    }

    fn flow(&self, key: &FlowKey) -> Option<FlowRef<'_>> {
        let entry = self.host.flows.get(key)?;
        // SAFETY: as said at the top.
        Some(unsafe { FlowRef::new(entry) })
    }

    fn insert(&self, key: &FlowKey, entry: &FlowEntry) -> Insert {
        self.host.flows.insert(key, entry)
    }

    fn remove(&self, key: &FlowKey) -> bool {
        if self.host.busy_bucket == Some(*key) {
            return false;
        }
        self.host.flows.remove(key);
        true
    }

    fn mapping(&self, key: &MappingKey) -> Option<MappingRef<'_>> {
        let mapping = self.host.mappings.get(key)?;
        // SAFETY: as said at the top.
        Some(unsafe { MappingRef::new(mapping) })
    }

    fn add_mapping(&self, key: &MappingKey, mapping: &Mapping) -> Insert {
        self.host.mappings.insert(key, mapping)
    }

    fn remove_mapping(&self, key: &MappingKey) -> bool {
        self.host.mappings.remove(key);
        true
    }

    fn client(&self, addr: Addr) -> Option<ClientRef<'_>> {
        let client = self.host.clients.get(&addr)?;
        // SAFETY: as said at the top.
        Some(unsafe { ClientRef::new(client) })
    }

    fn add_client(&self, addr: Addr, client: &Client) -> bool {
        self.host.clients.insert(&addr, client) != Insert::Full
    }

    fn remove_client(&self, addr: Addr) -> bool {
        self.host.clients.remove(&addr);
        true
    }

    fn busy(&self, key: &BusyKey) -> Option<BusyRef<'_>> {
        let busy = self.host.busy.get(key)?;
        // SAFETY: as said at the top.
        Some(unsafe { BusyRef::new(busy) })
    }

    fn remember(&self, place: u32, in_key: &FlowKey) {
        self.host.opened.borrow_mut().insert(place, *in_key);
    }

    fn remembered(&self, place: u32) -> Option<FlowKey> {
        self.host.opened.borrow().get(&place).copied()
    }

    fn begin_busy(&self, key: &BusyKey) {
        let nothing = Busy {
            looked: 0,
            cursor: 0,
            freed: 0,
            full: [0; PORT_SET_SLOTS as usize],
            taken: [0; PORT_WORDS as usize],
        };
        self.host.busy.remove(key);
        self.host.busy.insert(key, &nothing);
    }

    fn keep(&self, parsed: Parsed) -> Option<&mut Parsed> {
        let place = Rc::new(UnsafeCell::new(parsed));
        let pointer = place.get();
        self.host.kept.borrow_mut().push(place);
        // SAFETY: a place of its own, kept like the elements of the tables.
        Some(unsafe { &mut *pointer })
    }

    fn open(&self, key: &FlowKey, grant: &Grant, now: u32) -> Verdict {
        claim(self, &mut Work::new(*key, *grant), now)
    }

    fn datagram(&self, key: &DatagramKey) -> Option<DatagramRef<'_>> {
        let datagram = self.host.datagrams.get(key)?;
        // SAFETY: as said at the top.
        Some(unsafe { DatagramRef::new(datagram) })
    }

    fn begin_datagram(&self, key: &DatagramKey, head: &DatagramHead) -> bool {
        let new = Datagram {
            head: *head,
            blocks: [0; 128],
        };
        self.host.datagrams.remove(key);
        self.host.datagrams.insert(key, &new) == Insert::Done
    }

    fn untranslated(&self, key: &DatagramKey) -> Option<Untranslated> {
        // SAFETY: as said at the top.
        self.host
            .untranslated
            .get(key)
            .map(|first| unsafe { first.read() })
    }

    fn note_untranslated(&self, key: &DatagramKey, first: &Untranslated) {
        self.host.untranslated.remove(key);
        self.host.untranslated.insert(key, first);
    }

    fn shared(&self) -> Option<SharedRef<'_>> {
        let shared = NonNull::new(self.host.shared.get())?;
        // SAFETY: a field of the host, which outlives the packet.
        Some(unsafe { SharedRef::new(shared) })
    }

    fn event(&self, event: Event) {
        let counter = &self.host.events[event as usize];
        counter.set(counter.get() + 1);
    }

    fn searched(&self, _tries: u32) {}

    fn log(&self, record: &LogRecord) {
        self.host.log.borrow_mut().push(*record);
    }

    fn source_entry(&self, addr: Addr) -> Option<u32> {
        let around = self.host.contents.sources.iter();
        around
            .filter(|(prefix, _)| contains(prefix.addr, prefix.len as u8, addr))
            .max_by_key(|(prefix, _)| prefix.len)
            .map(|(_, entry)| *entry)
    }

    fn bypassed(&self, addr: Addr) -> bool {
        let mut bypass = self.host.contents.bypass.iter();
        bypass.any(|prefix| contains(prefix.addr, prefix.len as u8, addr))
    }

    fn external(&self, addr: Addr) -> Option<u32> {
        self.host.contents.externals.get(&addr).copied()
    }

    fn has_socket(&self, key: &FlowKey) -> bool {
        self.host.sockets.contains(&(key.protocol, key.dst_port))
    }

    fn entry(&self, index: u32) -> Option<&SnatEntry> {
        self.host.contents.entries.get(index as usize)
    }

    fn pool(&self, index: u32) -> Option<Addr> {
        self.host.contents.pool.get(index as usize).copied()
    }

    fn port_counts(&self, set: u32) -> (u32, u32) {
        let set = self.host.contents.port_sets.get(set as usize);
        set.map_or((0, 0), |set| {
            let low = set.list.partition_point(|port| *port < 1024);
            (set.list.len() as u32, low as u32)
        })
    }

    fn allowed(&self, set: u32, word: u32) -> u64 {
        let set = self.host.contents.port_sets.get(set as usize);
        let word = (word & (PORT_WORDS - 1)) as usize;
        set.map_or(0, |set| set.allowed[word])
    }

    fn port(&self, set: u32, index: u32) -> Option<u16> {
        let set = self.host.contents.port_sets.get(set as usize)?;
        set.list.get(index as usize).copied()
    }

    fn slot(&self, ifindex: u32) -> Option<u32> {
        let mut interfaces = self.host.contents.interfaces.iter();
        let slot = interfaces.position(|interface| interface.ifindex == ifindex)?;
        Some(slot as u32)
    }

    fn interface(&self, slot: u32) -> Option<&Interface> {
        self.host.contents.interfaces.get(slot as usize)
    }

    fn eni(&self, ifindex: u32) -> Option<&Eni> {
        self.host.contents.enis.get(&ifindex)
    }

    fn has_own_routes(&self, src: Addr) -> bool {
        self.host.contents.by_source.contains(&src)
    }

    fn repeat<S: Step>(&self, limit: u32, step: &mut S) {
        for index in 0..limit {
            if step.turn(index) {
                break;
            }
        }
    }

    fn route(&self, query: &RouteQuery) -> Route {
        self.host.fib.look_up(query.src, query.dst)
    }
}
