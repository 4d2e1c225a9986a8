//! The engine over plain collections: no kernel, and a clock that stands until it is set.

use std::{
    cell::{RefCell, UnsafeCell},
    collections::HashMap,
    ptr::NonNull,
    rc::Rc,
};

use snat_common::{
    Addr, Counter, Env, FlowEntry, FlowKey, FlowRef, Insert, Interface, Outcome, Route, RouteQuery,
    Settings, SnatEntry, State, Verdict, env::Step, life, policy, process,
};
use snat_ctl::datapath::{self, Desired};

use crate::fib::{Fib, contains};

/// Which program a frame meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// `snat_xdp`: no neighbour can be asked for, and what it passes is not counted.
    Xdp,
    /// `snat_tc`.
    Tc,
}

type Flow = Rc<UnsafeCell<FlowEntry>>;

/// The engine's surroundings and what it did in them.
pub(crate) struct Host {
    /// Ticks.
    pub(crate) clock: u32,
    /// A key whose bucket is busy: it can't be removed now.
    pub(crate) busy: Option<FlowKey>,
    /// Most entries in the flow table.
    pub(crate) capacity: usize,
    pub(crate) settings: Settings,
    pub(crate) fib: Fib,
    /// By verdict, as `VERDICTS` counts.
    pub(crate) counters: Vec<Counter>,
    desired: Desired,
    interfaces: Vec<Interface>,
    flows: RefCell<HashMap<FlowKey, Flow>>,
    /// Removed entries that a packet under way may still look at.
    removed: RefCell<Vec<Flow>>,
}

impl Host {
    /// With what the kernel's maps would hold.
    pub(crate) fn new(desired: Desired, host: &datapath::Host, fib: Fib, secret: [u64; 2]) -> Self {
        Self {
            clock: 1_000_000,
            busy: None,
            capacity: usize::MAX,
            settings: Settings {
                timeouts: desired.timeouts,
                secret,
                ..Settings::unset()
            },
            fib,
            counters: vec![Counter::default(); Verdict::ALL.len()],
            desired,
            interfaces: host.interfaces.clone(),
            flows: RefCell::default(),
            removed: RefCell::default(),
        }
    }

    /// Gives a frame to a program; what was decided, and the frame as it is then.
    pub(crate) fn run(&mut self, hook: Hook, ingress: u32, frame: &[u8]) -> (Outcome, Vec<u8>) {
        self.removed.get_mut().clear();
        let mut frame = frame.to_vec();
        let mut packet = frame.as_mut_slice();
        let outcome = match hook {
            Hook::Xdp => process(&mut packet, &self.on::<false>(ingress)),
            Hook::Tc if self.is_for_others(ingress, packet) => Outcome {
                verdict: Verdict::NotOurs,
                ..process(&mut [].as_mut_slice(), &self.on::<true>(ingress))
            },
            Hook::Tc => process(&mut packet, &self.on::<true>(ingress)),
        };
        let passed = outcome.verdict.action() == snat_common::Action::Pass;
        if !(hook == Hook::Xdp && passed) {
            let counter = &mut self.counters[outcome.verdict as usize];
            counter.packets += 1;
            counter.bytes += frame.len() as u64;
        }
        (outcome, frame)
    }

    /// What the kernel calls `PACKET_OTHERHOST`: for one station, and that is not the interface.
    fn is_for_others(&self, ingress: u32, frame: &[u8]) -> bool {
        let own = self.interfaces.iter().find(|own| own.ifindex == ingress);
        frame.len() >= 6 && frame[0] & 1 == 0 && own.is_none_or(|own| frame[..6] != own.mac)
    }

    /// Whether the program on the way out would stop the frame, which came in by `ingress`.
    pub(crate) fn leaks(&self, ingress: u32, mut frame: Vec<u8>) -> bool {
        policy::leaks(&frame.as_mut_slice(), &self.on::<true>(ingress))
    }

    /// As the sweep does for one key.
    pub(crate) fn bury(&mut self, in_key: &FlowKey, force: bool) -> bool {
        self.removed.get_mut().clear();
        life::bury(&self.on::<true>(0), in_key, self.clock, force)
    }

    /// Every entry as it is now.
    pub(crate) fn entries(&self) -> Vec<(FlowKey, FlowEntry)> {
        let flows = self.flows.borrow();
        let copy = |flow: &Flow| {
            // SAFETY: one thread, and no packet is under way: nothing writes to the entry.
            unsafe { *flow.get() }
        };
        flows.iter().map(|(key, flow)| (*key, copy(flow))).collect()
    }

    /// Marks an entry dead, as another CPU would that is about to remove it.
    pub(crate) fn kill(&mut self, key: &FlowKey) {
        if let Some(flow) = self.on::<true>(0).flow(key) {
            flow.set_state(State::Dead as u8);
        }
    }

    /// Removes one entry and not its partner.
    pub(crate) fn forget(&mut self, key: &FlowKey) {
        self.flows.get_mut().remove(key);
    }

    fn on<const RESOLVES: bool>(&self, ingress: u32) -> Hooked<'_, RESOLVES> {
        Hooked {
            host: self,
            ingress,
        }
    }
}

/// The surroundings of one packet.
struct Hooked<'a, const RESOLVES: bool> {
    host: &'a Host,
    ingress: u32,
}

impl<const RESOLVES: bool> Env for Hooked<'_, RESOLVES> {
    const RESOLVES_NEIGHBOURS: bool = RESOLVES;

    fn now(&self) -> u32 {
        self.host.clock
    }

    fn settings(&self) -> Option<&Settings> {
        Some(&self.host.settings)
    }

    fn ingress(&self) -> u32 {
        self.ingress
    }

    fn flow(&self, key: &FlowKey) -> Option<FlowRef<'_>> {
        let entry = NonNull::new(self.host.flows.borrow().get(key)?.get())?;
        // SAFETY: an entry that leaves the table moves to `removed`, which is emptied only through
        // `&mut Host`, when no such reference is left. No Rust reference to an entry is ever made.
        Some(unsafe { FlowRef::new(entry) })
    }

    fn insert(&self, key: &FlowKey, entry: &FlowEntry) -> Insert {
        let mut flows = self.host.flows.borrow_mut();
        if flows.contains_key(key) {
            return Insert::Exists;
        }
        if flows.len() >= self.host.capacity {
            return Insert::Full;
        }
        flows.insert(*key, Rc::new(UnsafeCell::new(*entry)));
        Insert::Done
    }

    fn remove(&self, key: &FlowKey) -> bool {
        if self.host.busy == Some(*key) {
            return false;
        }
        let flow = self.host.flows.borrow_mut().remove(key);
        self.host.removed.borrow_mut().extend(flow);
        true
    }

    fn source_entry(&self, addr: Addr) -> Option<u32> {
        let around = self.host.desired.sources.iter();
        around
            .filter(|(prefix, _)| contains(prefix.addr, prefix.len as u8, addr))
            .max_by_key(|(prefix, _)| prefix.len)
            .map(|(_, entry)| *entry)
    }

    fn bypassed(&self, addr: Addr) -> bool {
        let mut bypass = self.host.desired.bypass.iter();
        bypass.any(|prefix| contains(prefix.addr, prefix.len as u8, addr))
    }

    fn is_external(&self, addr: Addr) -> bool {
        self.host.desired.externals.contains(&addr)
    }

    fn entry(&self, index: u32) -> Option<&SnatEntry> {
        self.host.desired.entries.get(index as usize)
    }

    fn pool(&self, index: u32) -> Option<Addr> {
        self.host.desired.pool.get(index as usize).copied()
    }

    fn port_count(&self, set: u32) -> u32 {
        let set = self.host.desired.port_sets.get(set as usize);
        set.map_or(0, |ports| ports.len() as u32)
    }

    fn port(&self, set: u32, index: u32) -> Option<u16> {
        let ports = self.host.desired.port_sets.get(set as usize)?;
        ports.get(index as usize).copied()
    }

    fn slot(&self, ifindex: u32) -> Option<u32> {
        let mut interfaces = self.host.interfaces.iter();
        let slot = interfaces.position(|interface| interface.ifindex == ifindex)?;
        Some(slot as u32)
    }

    fn interface(&self, slot: u32) -> Option<&Interface> {
        self.host.interfaces.get(slot as usize)
    }

    fn repeat<S: Step>(&self, limit: u32, step: &mut S) {
        for index in 0..limit {
            if step.turn(index) {
                break;
            }
        }
    }

    fn route(&self, query: &RouteQuery) -> Route {
        self.host.fib.look_up(query.dst)
    }
}
