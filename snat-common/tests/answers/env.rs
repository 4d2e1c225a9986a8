//! As much of the engine's surroundings as an answer asks for.

use std::{
    cell::{Cell, UnsafeCell},
    ptr::NonNull,
};

use snat_common::{
    Addr, BusyKey, BusyRef, Client, ClientRef, DatagramHead, DatagramKey, DatagramRef, Eni, Env,
    Event, FlowEntry, FlowKey, FlowRef, Insert, Interface, Mapping, MappingKey, MappingRef,
    Protocol, Route, RouteKind, RouteQuery, Settings, Shared, SharedRef, SnatEntry, Untranslated,
    Verdict, answer, env::Step, log::LogRecord, parse::Parsed, policy::Grant, settings::resets,
};

use crate::frame::Frame;

pub(crate) const CLIENT: Addr = [172, 16, 1, 11];
pub(crate) const GATEWAY: Addr = [172, 16, 1, 1];
pub(crate) const EXTERNAL: Addr = [203, 0, 113, 10];
pub(crate) const SERVER: Addr = [198, 51, 100, 20];
/// A client's address that is on another side than the packet came from, and one that is a network's broadcast.
pub(crate) const FORGED: Addr = [172, 16, 1, 66];
pub(crate) const NOBODY: Addr = [172, 16, 1, 255];
pub(crate) const CLIENT_MAC: [u8; 6] = [2, 0, 172, 16, 1, 11];
pub(crate) const GATEWAY_MAC: [u8; 6] = [2, 0, 172, 16, 1, 1];

/// A gateway that resets and refuses with 3/13, and allows one answer a second.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) interface: Interface,
    /// One flow, of the client to the server, both on port 4000 and the external port 5000.
    flow: UnsafeCell<FlowEntry>,
    shared: UnsafeCell<Shared>,
    pub(crate) sent: Cell<u32>,
    pub(crate) held_back: Cell<u32>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings {
                answers_per_second: 1,
                refusal_code: 13,
                resets: resets::CLIENTS | resets::SERVERS,
                mss: 1,
                ..Settings::unset()
            },
            interface: Interface {
                ifindex: 2,
                addr: GATEWAY,
                mac: GATEWAY_MAC,
                mtu: 1500,
            },
            flow: UnsafeCell::new(FlowEntry {
                addr: CLIENT,
                port: 4000,
                ..FlowEntry::EMPTY
            }),
            shared: UnsafeCell::default(),
            sent: Cell::default(),
            held_back: Cell::default(),
        }
    }

    /// The answer, if there is one.
    pub(crate) fn answer(&self, mut frame: Frame, verdict: Verdict, mtu: u16) -> Option<Frame> {
        answer(&mut frame, self, verdict, mtu).then(|| frame.finished())
    }
}

impl Env for World {
    const RESOLVES_NEIGHBOURS: bool = true;
    const ONE_AFTER_THE_OTHER: bool = false;

    fn now(&self) -> u32 {
        1_000_000
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }

    fn ingress(&self) -> u32 {
        2
    }

    fn keep(&self, parsed: Parsed) -> Option<&mut Parsed> {
        Some(Box::leak(Box::new(parsed)))
    }

    fn shared(&self) -> Option<SharedRef<'_>> {
        // SAFETY: lives as long as `self`, and is touched through such references only.
        Some(unsafe { SharedRef::new(NonNull::new(self.shared.get())?) })
    }

    fn event(&self, event: Event) {
        let counter = match event {
            Event::AnswerSent => &self.sent,
            Event::AnswerHeldBack => &self.held_back,
            other => unreachable!("{other:?}"),
        };
        counter.set(counter.get() + 1);
    }

    fn searched(&self, _tries: u32) {
        unreachable!("an answer needs no port");
    }

    fn log(&self, record: &LogRecord) {
        unreachable!("{record:?}");
    }

    fn source_entry(&self, addr: Addr) -> Option<u32> {
        (addr[..2] == [172, 16]).then_some(0)
    }

    fn external(&self, addr: Addr) -> Option<u32> {
        (addr == EXTERNAL).then_some(1)
    }

    fn slot(&self, ifindex: u32) -> Option<u32> {
        (ifindex == 2).then_some(0)
    }

    fn interface(&self, _: u32) -> Option<&Interface> {
        Some(&self.interface)
    }

    fn eni(&self, _: u32) -> Option<&Eni> {
        unreachable!()
    }

    fn has_own_routes(&self, _: Addr) -> bool {
        unreachable!()
    }

    fn repeat<S: Step>(&self, limit: u32, step: &mut S) {
        (0..limit).any(|index| step.turn(index));
    }

    fn flow(&self, key: &FlowKey) -> Option<FlowRef<'_>> {
        let of_ours = FlowKey {
            src: SERVER,
            dst: EXTERNAL,
            src_port: 4000,
            dst_port: 5000,
            protocol: Protocol::Udp,
            number: 0,
            zero: [0; 2],
        };
        // SAFETY: lives as long as `self`, and is touched through such references only.
        (*key == of_ours).then(|| unsafe { FlowRef::new(NonNull::new_unchecked(self.flow.get())) })
    }

    fn insert(&self, _: &FlowKey, _: &FlowEntry) -> Insert {
        unreachable!()
    }

    fn remove(&self, _: &FlowKey) -> bool {
        unreachable!()
    }

    fn mapping(&self, _: &MappingKey) -> Option<MappingRef<'_>> {
        unreachable!()
    }

    fn add_mapping(&self, _: &MappingKey, _: &Mapping) -> Insert {
        unreachable!()
    }

    fn remove_mapping(&self, _: &MappingKey) -> bool {
        unreachable!()
    }

    fn client(&self, _: Addr) -> Option<ClientRef<'_>> {
        unreachable!()
    }

    fn add_client(&self, _: Addr, _: &Client) -> bool {
        unreachable!()
    }

    fn remove_client(&self, _: Addr) -> bool {
        unreachable!()
    }

    fn busy(&self, _: &BusyKey) -> Option<BusyRef<'_>> {
        unreachable!()
    }

    fn remember(&self, _: u32, _: &FlowKey) {
        unreachable!()
    }

    fn remembered(&self, _: u32) -> Option<FlowKey> {
        unreachable!()
    }

    fn begin_busy(&self, _: &BusyKey) {
        unreachable!()
    }

    fn open(&self, _: &FlowKey, _: &Grant, _: u32) -> Verdict {
        unreachable!()
    }

    fn datagram(&self, _: &DatagramKey) -> Option<DatagramRef<'_>> {
        unreachable!()
    }

    fn begin_datagram(&self, _: &DatagramKey, _: &DatagramHead) -> bool {
        unreachable!()
    }

    fn untranslated(&self, _: &DatagramKey) -> Option<Untranslated> {
        unreachable!()
    }

    fn note_untranslated(&self, _: &DatagramKey, _: &Untranslated) {
        unreachable!()
    }

    fn bypassed(&self, _: Addr) -> bool {
        unreachable!()
    }

    fn has_socket(&self, _: &FlowKey) -> bool {
        unreachable!()
    }

    fn entry(&self, _: u32) -> Option<&SnatEntry> {
        unreachable!()
    }

    fn pool(&self, _: u32) -> Option<Addr> {
        unreachable!()
    }

    fn port_counts(&self, _: u32) -> (u32, u32) {
        unreachable!()
    }

    fn allowed(&self, _: u32, _: u32) -> u64 {
        unreachable!()
    }

    fn port(&self, _: u32, _: u32) -> Option<u16> {
        unreachable!()
    }

    /// Everybody is where the packet came from, but for a source that is forged or nobody's alone.
    fn route(&self, query: &RouteQuery) -> Route {
        Route {
            kind: if query.dst == NOBODY {
                RouteKind::NotForwarded
            } else {
                RouteKind::Ready
            },
            ifindex: if query.dst == FORGED { 3 } else { 2 },
            mtu: 1500,
            mac: [2; 6],
            gateway: query.dst,
            metric: 0,
        }
    }
}
