//! The engine's surroundings in the kernel: maps and helpers.

use core::{ffi::c_void, ptr::NonNull};

use aya_ebpf::{
    bindings::{BPF_NOEXIST, BPF_RB_NO_WAKEUP},
    helpers::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns, bpf_loop},
    maps::lpm_trie::Key,
    programs::TcContext,
};
use snat_common::{
    Addr, BusyKey, BusyRef, Client, ClientRef, DatagramHead, DatagramKey, DatagramRef, Eni, Env,
    Event, FlowEntry, FlowKey, FlowRef, Insert, Interface, Mapping, MappingKey, MappingRef, Route,
    RouteQuery, Settings, SharedRef, SnatEntry, Untranslated, Verdict,
    env::Step,
    log::LogRecord,
    parse::Parsed,
    policy::Grant,
    settings::{PORT_WORDS, TICK_SHIFT},
    stage::Stage,
    trace::Program,
    tries,
    wire::opaque,
};

use crate::ends::handed_over;
use crate::maps::{
    BUSY, BY_SOURCE, BYPASS, CLAIM_TRIES, CLIENTS, ENIS, ENTRIES, EVENTS, EXTERNALS, FLOWS,
    FRAGMENTS, INTERFACES, LEFT, LOG, MAPPINGS, NEW_DATAGRAM, NO_BUSY, OPENED, PARSED, POOL,
    PORT_SETS, SETTINGS, SHARED, SLOTS, SOURCES, STAGES, UNTRANSLATED, WORK,
};
use crate::{fragment, lookup, trace};

/// One packet's surroundings; `RESOLVES` where the hook can hand a packet to the kernel's neighbour code.
pub(crate) struct Kernel<const RESOLVES: bool> {
    context: *mut c_void,
    ingress: u32,
}

impl<const RESOLVES: bool> Kernel<RESOLVES> {
    /// For a packet of this program context, which came in by interface `ingress`.
    #[inline(always)]
    pub(crate) fn new(context: *mut c_void, ingress: u32) -> Self {
        Self { context, ingress }
    }
}

const ENOENT: i32 = -2;
const EEXIST: i32 = -17;

impl<const RESOLVES: bool> Env for Kernel<RESOLVES> {
    const RESOLVES_NEIGHBOURS: bool = RESOLVES;
    // XDP, in the driver's poll. A packet that goes round it to TC (a fragment) may come by another queue; what
    // it counts at the same time may be lost.
    const ONE_AFTER_THE_OTHER: bool = !RESOLVES;

    #[inline(always)]
    fn now(&self) -> u32 {
        // SAFETY: no arguments.
        (unsafe { bpf_ktime_get_coarse_ns() } >> TICK_SHIFT) as u32
    }

    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        SETTINGS.get(0)
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        self.ingress
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<FlowRef<'_>> {
        let entry = NonNull::new(FLOWS.get_ptr_mut(key)?)?;
        // SAFETY: a live element of the map; RCU keeps its memory for this program's run.
        Some(unsafe { FlowRef::new(entry) })
    }

    #[inline(always)]
    fn insert(&self, key: &FlowKey, entry: &FlowEntry) -> Insert {
        match FLOWS.insert(key, entry, u64::from(BPF_NOEXIST)) {
            Ok(()) => Insert::Done,
            Err(EEXIST) => Insert::Exists,
            Err(_) => Insert::Full,
        }
    }

    #[inline(always)]
    fn remove(&self, key: &FlowKey) -> bool {
        // Absent is what was wanted.
        matches!(FLOWS.remove(key), Ok(()) | Err(ENOENT))
    }

    #[inline(always)]
    fn mapping(&self, key: &MappingKey) -> Option<MappingRef<'_>> {
        let mapping = NonNull::new(MAPPINGS.get_ptr_mut(key)?)?;
        // SAFETY: as in `flow`.
        Some(unsafe { MappingRef::new(mapping) })
    }

    #[inline(always)]
    fn add_mapping(&self, key: &MappingKey, mapping: &Mapping) -> Insert {
        match MAPPINGS.insert(key, mapping, u64::from(BPF_NOEXIST)) {
            Ok(()) => Insert::Done,
            Err(EEXIST) => Insert::Exists,
            Err(_) => Insert::Full,
        }
    }

    #[inline(always)]
    fn remove_mapping(&self, key: &MappingKey) -> bool {
        matches!(MAPPINGS.remove(key), Ok(()) | Err(ENOENT))
    }

    #[inline(always)]
    fn client(&self, addr: Addr) -> Option<ClientRef<'_>> {
        let client = NonNull::new(CLIENTS.get_ptr_mut(addr)?)?;
        // SAFETY: as in `flow`.
        Some(unsafe { ClientRef::new(client) })
    }

    #[inline(always)]
    fn add_client(&self, addr: Addr, client: &Client) -> bool {
        matches!(
            CLIENTS.insert(addr, client, u64::from(BPF_NOEXIST)),
            Ok(()) | Err(EEXIST)
        )
    }

    #[inline(always)]
    fn remove_client(&self, addr: Addr) -> bool {
        matches!(CLIENTS.remove(addr), Ok(()) | Err(ENOENT))
    }

    #[inline(always)]
    fn busy(&self, key: &BusyKey) -> Option<BusyRef<'_>> {
        let busy = NonNull::new(BUSY.get_ptr_mut(key)?)?;
        // SAFETY: as in `flow`.
        Some(unsafe { BusyRef::new(busy) })
    }

    #[inline(always)]
    fn remember(&self, place: u32, in_key: &FlowKey) {
        if let Some(element) = OPENED.get_ptr_mut(place) {
            // SAFETY: an element of the map. Who reads it at the same time may see a key that is half another's, and
            // finds no flow by it, or one that he may look at as well.
            unsafe { element.write_volatile(in_key.words()) };
        }
    }

    #[inline(always)]
    fn remembered(&self, place: u32) -> Option<FlowKey> {
        let element = OPENED.get_ptr_mut(place)?;
        // SAFETY: as in `remember`.
        FlowKey::of_words(unsafe { element.read_volatile() })
    }

    #[inline(always)]
    fn begin_busy(&self, key: &BusyKey) {
        if let Some(nothing) = NO_BUSY.get(0) {
            let _ = BUSY.insert(key, nothing, 0);
        }
    }

    #[inline(always)]
    fn keep(&self, parsed: Parsed) -> Option<&mut Parsed> {
        let slot = PARSED.get_ptr_mut(0)?;
        // SAFETY: this CPU's own element, which only this program run has.
        unsafe {
            slot.write(parsed);
            Some(&mut *slot)
        }
    }

    #[inline(always)]
    fn open(&self, key: &FlowKey, grant: &Grant, _now: u32) -> Verdict {
        if handed_over().opened == 0
            && let Some(slot) = WORK.get_ptr_mut(0)
        {
            // SAFETY: this CPU's own element, read by the next program before any other packet. That
            // program gets the context that this one has, and nothing here has a destructor.
            unsafe {
                (*slot).packet = *key;
                (*slot).grant = *grant;
                let context = TcContext::new(self.context.cast());
                trace::hand_on(&context, Program::Slow, self.ingress);
                STAGES.tail_call(&context, Stage::Open as u32);
            }
        }
        Verdict::FlowVanishing
    }

    #[inline(always)]
    fn datagram(&self, key: &DatagramKey) -> Option<DatagramRef<'_>> {
        let datagram = NonNull::new(FRAGMENTS.get_ptr_mut(key)?)?;
        // SAFETY: an element of the map. If it is given to another datagram meanwhile, a fragment may take
        // that one's ports, and nothing worse.
        Some(unsafe { DatagramRef::new(datagram) })
    }

    #[inline(always)]
    fn begin_datagram(&self, key: &DatagramKey, head: &DatagramHead) -> bool {
        let Some(new) = NEW_DATAGRAM.get_ptr_mut(0) else {
            return false;
        };
        // SAFETY: this CPU's own element, of which nothing but the head is ever written.
        let new = unsafe {
            (*new).head = *head;
            &*new
        };
        if FRAGMENTS.insert(key, new, 0).is_err() {
            return false;
        }
        fragment::want_release(self, key);
        true
    }

    #[inline(always)]
    fn untranslated(&self, key: &DatagramKey) -> Option<Untranslated> {
        // SAFETY: an element of the map; as in `datagram`.
        unsafe { UNTRANSLATED.get(key) }.copied()
    }

    #[inline(always)]
    fn note_untranslated(&self, key: &DatagramKey, first: &Untranslated) {
        if UNTRANSLATED.insert(key, first, 0).is_ok() && first.passed != 0 {
            fragment::want_release(self, key);
        }
    }

    #[inline(always)]
    fn was_left(&self, key: &FlowKey) -> bool {
        LEFT.get_ptr_mut(key).is_some()
    }

    #[inline(always)]
    fn note_left(&self, key: &FlowKey) {
        // Without room for it, one that goes on while it is taken over may begin anew.
        let _ = LEFT.insert(key, 0_u32, 0);
    }

    #[inline(always)]
    fn shared(&self) -> Option<SharedRef<'_>> {
        let shared = NonNull::new(SHARED.get_ptr_mut(0)?)?;
        // SAFETY: the map's one element, which is always there.
        Some(unsafe { SharedRef::new(shared) })
    }

    #[inline(always)]
    fn event(&self, event: Event) {
        if let Some(counter) = EVENTS.get_ptr_mut(event as u32) {
            // SAFETY: this CPU's own element, and programs of one CPU do not interrupt each other here.
            unsafe { *counter += 1 };
        }
    }

    #[inline(always)]
    fn searched(&self, tries: u32) {
        add(tries::bucket(tries), 1);
        add(tries::SUM, u64::from(tries));
    }

    #[inline(always)]
    fn log(&self, record: &LogRecord) {
        // SAFETY: no arguments.
        let time = unsafe { bpf_ktime_get_ns() };
        // Whoever writes the log looks at the ring by itself: a packet pays for no wakeup.
        let kept = LOG.output(LogRecord { time, ..*record }, u64::from(BPF_RB_NO_WAKEUP));
        if kept.is_err() {
            self.event(Event::LogLost);
        }
    }

    #[inline(always)]
    fn source_entry(&self, addr: Addr) -> Option<u32> {
        SOURCES.get(&Key::new(32, addr)).copied()
    }

    #[inline(always)]
    fn bypassed(&self, addr: Addr) -> bool {
        BYPASS.get(&Key::new(32, addr)).is_some()
    }

    #[inline(always)]
    fn external(&self, addr: Addr) -> Option<u32> {
        // SAFETY: written by the control plane only, a word at a time.
        unsafe { EXTERNALS.get(addr) }.copied()
    }

    #[inline(always)]
    fn has_socket(&self, key: &FlowKey) -> bool {
        lookup::has_socket(self.context, key)
    }

    #[inline(always)]
    fn entry(&self, index: u32) -> Option<&SnatEntry> {
        ENTRIES.get(index)
    }

    #[inline(always)]
    fn pool(&self, index: u32) -> Option<Addr> {
        POOL.get(index).copied()
    }

    #[inline(always)]
    fn port_counts(&self, set: u32) -> (u32, u32) {
        PORT_SETS.get(set).map_or((0, 0), |set| (set.len, set.low))
    }

    #[inline(always)]
    fn allowed(&self, set: u32, word: u32) -> u64 {
        let word = opaque(word as usize) & (PORT_WORDS as usize - 1);
        PORT_SETS
            .get(set)
            .and_then(|set| set.allowed.get(word).copied())
            .unwrap_or(0)
    }

    #[inline(always)]
    fn port(&self, set: u32, index: u32) -> Option<u16> {
        // Indices are below 65,536, and the verifier wants to see that from here.
        let index = opaque(index as usize) & 0xffff;
        PORT_SETS.get(set)?.ports.get(index).copied()
    }

    #[inline(always)]
    fn slot(&self, ifindex: u32) -> Option<u32> {
        // SAFETY: written by the control plane only, a word at a time.
        unsafe { SLOTS.get(ifindex) }.copied()
    }

    #[inline(always)]
    fn interface(&self, slot: u32) -> Option<&Interface> {
        INTERFACES.get(slot)
    }

    #[inline(always)]
    fn eni(&self, ifindex: u32) -> Option<&Eni> {
        // SAFETY: written by the control plane only. An element that is replaced meanwhile costs one flow its
        // share, and nothing else.
        unsafe { ENIS.get(ifindex) }
    }

    #[inline(always)]
    fn has_own_routes(&self, src: Addr) -> bool {
        BY_SOURCE.get(&Key::new(32, src)).is_some()
    }

    #[inline(always)]
    fn repeat<S: Step>(&self, limit: u32, step: &mut S) {
        let step: *mut S = step;
        // SAFETY: the callback has the type the helper calls, and `step` outlives the call.
        unsafe { bpf_loop(limit, turn::<S> as *mut c_void, step.cast(), 0) };
    }

    #[inline(always)]
    fn route(&self, query: &RouteQuery) -> Route {
        lookup::route::<RESOLVES>(self.context, self.ingress, query)
    }
}

#[inline(always)]
fn add(element: u32, more: u64) {
    if let Some(counter) = CLAIM_TRIES.get_ptr_mut(element) {
        // SAFETY: as in `event`.
        unsafe { *counter += more };
    }
}

/// What the loop helper calls: 1 ends the loop.
unsafe extern "C" fn turn<S: Step>(index: u32, step: *mut S) -> i64 {
    // SAFETY: `repeat` handed the helper a valid and unique reference.
    i64::from(unsafe { &mut *step }.turn(index))
}
