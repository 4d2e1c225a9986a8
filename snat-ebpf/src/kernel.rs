//! The engine's surroundings in the kernel: maps and helpers.

use core::{ffi::c_void, ptr::NonNull};

use aya_ebpf::{
    bindings::{
        BPF_NOEXIST, BPF_RB_NO_WAKEUP, bpf_fib_lookup, bpf_sock_tuple,
        bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1,
    },
    helpers::{
        bpf_fib_lookup as fib_lookup, bpf_ktime_get_coarse_ns, bpf_ktime_get_ns, bpf_loop,
        bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp,
    },
    maps::lpm_trie::Key,
    programs::TcContext,
};
use snat_common::{
    Addr, BusyKey, BusyRef, Client, ClientRef, DatagramHead, DatagramKey, DatagramRef, Eni, Env,
    Event, FlowEntry, FlowKey, FlowRef, Insert, Interface, Mapping, MappingKey, MappingRef,
    Protocol, Route, RouteKind, RouteQuery, Settings, SharedRef, SnatEntry, Untranslated, Verdict,
    env::Step,
    log::LogRecord,
    next_hop,
    parse::Parsed,
    policy::Grant,
    settings::{PORT_WORDS, TICK_SHIFT},
    stage::Stage,
    trace::Program,
    tries,
    wire::opaque,
};

use crate::fragment;
use crate::handed_over;
use crate::maps::{
    BUSY, BY_SOURCE, BYPASS, CLAIM_TRIES, CLIENTS, ENIS, ENTRIES, EVENTS, EXTERNALS, FLOWS,
    FRAGMENTS, INTERFACES, LOG, MAPPINGS, NEW_DATAGRAM, NO_BUSY, PARSED, POOL, PORT_SETS, SETTINGS,
    SHARED, SLOTS, SOURCES, STAGES, UNTRANSLATED, WORK,
};
use crate::trace;

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
/// `BPF_F_CURRENT_NETNS`: that of the interface.
const CURRENT_NETNS: u64 = u64::MAX;
const AF_INET: u8 = 2;
const FIB_SUCCESS: i64 = 0;
const FIB_UNSUPPORTED_TUNNEL: i64 = 6;
const FIB_NO_NEIGHBOUR: i64 = 7;

impl<const RESOLVES: bool> Env for Kernel<RESOLVES> {
    const RESOLVES_NEIGHBOURS: bool = RESOLVES;

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
        has_socket(self.context, key)
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
        // SAFETY: plain integers and byte arrays; all zero is valid, and the kernel reads it all.
        let mut aligned: Aligned<bpf_fib_lookup> = unsafe { core::mem::zeroed() };
        let params = &mut aligned.0;
        params.family = AF_INET;
        params.l4_protocol = query.protocol;
        params.sport = query.ports.0.to_be();
        params.dport = query.ports.1.to_be();
        params.ifindex = self.ingress;
        params.__bindgen_anon_2.tos = query.tos;
        params.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(query.src);
        params.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(query.dst);
        // Not 0, which would leave the MTU out of the answer; not the real length, for the kernel
        // knows nothing of merged packets here, and the engine compares itself.
        params.__bindgen_anon_1.tot_len = 1;
        // SAFETY: `context` is this program's, `params` lives on the stack and is of that size.
        let code =
            unsafe { fib_lookup(self.context, params, size_of::<bpf_fib_lookup>() as i32, 0) };
        let kind = match code {
            FIB_SUCCESS => RouteKind::Ready,
            FIB_NO_NEIGHBOUR if params.family == AF_INET => RouteKind::NoNeighbour,
            // An IPv6 next hop: not to be asked for from here.
            FIB_NO_NEIGHBOUR => RouteKind::Unusable,
            FIB_UNSUPPORTED_TUNNEL => RouteKind::Unusable,
            // Local, broadcast, no route, unreachable, prohibit, blackhole, forwarding off: in each
            // of these the stack forwards nothing, and answers as it should.
            code if code > 0 => return next_hop::not_forwarded(),
            _ => RouteKind::Unusable,
        };
        // SAFETY: the helper has written it, or it holds what was put there above.
        let gateway = unsafe { params.__bindgen_anon_4.ipv4_dst };
        // The helper writes it where it has read the type of service.
        // SAFETY: as above.
        let metric = unsafe { params.__bindgen_anon_2.rt_metric };
        let egress = params.ifindex;
        if RESOLVES && matches!(kind, RouteKind::NoNeighbour) {
            // Then the helper says nothing of the MTU. It does for a packet that is larger than any.
            params.ifindex = self.ingress;
            params.__bindgen_anon_1.tot_len = u16::MAX;
            params.__bindgen_anon_2.tos = query.tos;
            params.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(query.src);
            params.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(query.dst);
            // SAFETY: as above.
            unsafe { fib_lookup(self.context, params, size_of::<bpf_fib_lookup>() as i32, 0) };
        }
        // SAFETY: as above.
        let mtu = unsafe { params.__bindgen_anon_1.mtu_result };
        Route {
            kind,
            ifindex: egress,
            mtu,
            mac: params.dmac,
            gateway: gateway.to_ne_bytes(),
            metric,
        }
    }
}

#[inline(always)]
fn add(element: u32, more: u64) {
    if let Some(counter) = CLAIM_TRIES.get_ptr_mut(element) {
        // SAFETY: as in `event`.
        unsafe { *counter += more };
    }
}

/// Asks the kernel for a socket that takes such a packet. In a TC program only.
#[inline(never)]
fn has_socket(context: *mut c_void, key: &FlowKey) -> bool {
    if !matches!(key.protocol, Protocol::Tcp | Protocol::Udp) {
        return false;
    }
    const TUPLE: u32 = size_of::<bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1>() as u32;
    // SAFETY: plain integers.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    tuple.__bindgen_anon_1.ipv4 = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 {
        saddr: u32::from_ne_bytes(key.src),
        daddr: u32::from_ne_bytes(key.dst),
        sport: key.src_port.to_be(),
        dport: key.dst_port.to_be(),
    };
    let tuple = &raw mut tuple;
    // SAFETY: `context` is this program's, the tuple of the size given; what is found is released.
    unsafe {
        let socket = if matches!(key.protocol, Protocol::Tcp) {
            bpf_skc_lookup_tcp(context, tuple, TUPLE, CURRENT_NETNS, 0)
        } else {
            bpf_sk_lookup_udp(context, tuple, TUPLE, CURRENT_NETNS, 0)
        };
        if socket.is_null() {
            return false;
        }
        bpf_sk_release(socket.cast());
    }
    true
}

/// Whole words, so that clearing it takes a few stores instead of a call.
#[repr(C, align(8))]
struct Aligned<T>(T);

/// What the loop helper calls: 1 ends the loop.
unsafe extern "C" fn turn<S: Step>(index: u32, step: *mut S) -> i64 {
    // SAFETY: `repeat` handed the helper a valid and unique reference.
    i64::from(unsafe { &mut *step }.turn(index))
}
