//! The maps, by the names under which they are pinned.
//!
//! Sizes that the configuration decides (`FLOWS`) are set by the loader.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, RingBuf},
    macros::btf_map,
};
use snat_common::{
    Addr, Busy, BusyKey, Client, Counter, Datagram, DatagramKey, Eni, Event, FlowEntry, FlowKey,
    Frame, HeldKey, Interface, Mapping, MappingKey, PortSet, Settings, Shared, SnatEntry,
    Untranslated, Verdict,
    log::LogRecord,
    parse::Parsed,
    report::{Dropped, Watch},
    settings::{
        ENTRY_SLOTS, EXTERNAL_SLOTS, MAX_BUSY, MAX_CLIENTS, MAX_ENIS, MAX_FRAGMENTED, MAX_HELD,
        MAX_HELD_FRAME, MAX_INTERFACES, MAX_LEFT, MAX_PREFIXES, POOL_SLOTS, PORT_SET_SLOTS,
        PREFIX_SLOTS,
    },
    stage::{Handover, Release, Stage},
    tries,
    work::Work,
};

/// Both directions of every flow.
#[btf_map]
pub(crate) static FLOWS: HashMap<FlowKey, FlowEntry, 2048> = HashMap::new();

/// Mappings and permissions. Its memory is taken as they come: most gateways have far fewer than flows.
#[btf_map]
pub(crate) static MAPPINGS: HashMap<MappingKey, Mapping, 3072, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();

/// What each client uses.
#[btf_map]
pub(crate) static CLIENTS: HashMap<
    Addr,
    Client,
    { MAX_CLIENTS as usize },
    { BPF_F_NO_PREALLOC as usize },
> = HashMap::new();

/// Clients' packets that were left to the kernel while connections change hands.
#[btf_map]
pub(crate) static LEFT: HashMap<
    FlowKey,
    u32,
    { MAX_LEFT as usize },
    { BPF_F_NO_PREALLOC as usize },
> = HashMap::new();

/// Ports that searches found taken. Only a hint, so the oldest may go.
#[btf_map]
pub(crate) static BUSY: LruHashMap<BusyKey, Busy, { MAX_BUSY as usize }> = LruHashMap::new();

/// What a new element of `BUSY` is copied from: too large for the stack.
#[btf_map]
pub(crate) static NO_BUSY: Array<Busy, 1> = Array::new();

/// Keys (direction `In`) of the flows that were opened last, as two words each: a ring. All zero: none yet.
#[btf_map]
pub(crate) static OPENED: Array<[u64; 2], 2048> = Array::new();

/// What all CPUs count together.
#[btf_map]
pub(crate) static SHARED: Array<Shared, 1> = Array::new();

/// The programs that finish what the first leaves.
#[btf_map]
pub(crate) static STAGES: ProgramArray<{ Stage::ALL.len() }> = ProgramArray::new();

/// What one program tells the next.
#[btf_map]
pub(crate) static HANDOVER: PerCpuArray<Handover, 1> = PerCpuArray::new();

/// What was read of the packet under way.
#[btf_map]
pub(crate) static PARSED: PerCpuArray<Parsed, 1> = PerCpuArray::new();

/// The flow that a program asks another to open.
#[btf_map]
pub(crate) static WORK: PerCpuArray<Work, 1> = PerCpuArray::new();

/// The flow that `snat_adopt` enters. Not `WORK`: a packet may come between.
#[btf_map]
pub(crate) static ADOPTING: Array<Work, 1> = Array::new();

/// Datagrams in fragments whose first one was translated. The oldest may go.
#[btf_map]
pub(crate) static FRAGMENTS: LruHashMap<DatagramKey, Datagram, { MAX_FRAGMENTED as usize }> =
    LruHashMap::new();

/// What a new element of `FRAGMENTS` is copied from: too large for the stack.
#[btf_map]
pub(crate) static NEW_DATAGRAM: PerCpuArray<Datagram, 1> = PerCpuArray::new();

/// Datagrams in fragments whose first one was not translated. The oldest may go.
#[btf_map]
pub(crate) static UNTRANSLATED: LruHashMap<DatagramKey, Untranslated, { MAX_FRAGMENTED as usize }> =
    LruHashMap::new();

/// Fragments that came before the first of their datagram. The oldest may go.
#[btf_map]
pub(crate) static HELD: LruHashMap<HeldKey, Frame, { MAX_HELD as usize }> = LruHashMap::new();

/// Whose fragments are held: how many more may be, as a [`snat_common::bucket`].
#[btf_map]
pub(crate) static HOLDERS: LruHashMap<Addr, u64, { MAX_HELD as usize }> = LruHashMap::new();

/// Which held fragments the packet under way lets in.
#[btf_map]
pub(crate) static RELEASE: PerCpuArray<Release, 1> = PerCpuArray::new();

/// The frame under way, put aside.
#[btf_map]
pub(crate) static ASIDE: PerCpuArray<Aside, 1> = PerCpuArray::new();

/// One element: ABI, generation, timeouts, secret.
#[btf_map]
pub(crate) static SETTINGS: Array<Settings, 1> = Array::new();

/// Client prefixes, to an index of `ENTRIES`.
#[btf_map]
pub(crate) static SOURCES: LpmTrie<Addr, u32, { PREFIX_SLOTS as usize }> = LpmTrie::new();

/// Destination prefixes that are never translated.
#[btf_map]
pub(crate) static BYPASS: LpmTrie<Addr, u32, { PREFIX_SLOTS as usize }> = LpmTrie::new();

/// SNAT entries.
#[btf_map]
pub(crate) static ENTRIES: Array<SnatEntry, { ENTRY_SLOTS as usize }> = Array::new();

/// External addresses of all entries, one entry's side by side.
#[btf_map]
pub(crate) static POOL: Array<Addr, { POOL_SLOTS as usize }> = Array::new();

/// The same and the host's own as a set, with the port sets that are ours there, as bits.
#[btf_map]
pub(crate) static EXTERNALS: HashMap<Addr, u32, { EXTERNAL_SLOTS as usize }> = HashMap::new();

/// External ports of each distinct `ports` setting.
#[btf_map]
pub(crate) static PORT_SETS: Array<PortSet, { PORT_SET_SLOTS as usize }> = Array::new();

/// The gateway's interfaces.
#[btf_map]
pub(crate) static INTERFACES: Array<Interface, { MAX_INTERFACES as usize }> = Array::new();

/// Interface index, to an index of `INTERFACES`.
#[btf_map]
pub(crate) static SLOTS: HashMap<u32, u32, { MAX_INTERFACES as usize }> = HashMap::new();

/// Interface index, to what the policy routes say of that interface.
#[btf_map]
pub(crate) static ENIS: HashMap<u32, Eni, { MAX_ENIS as usize }> = HashMap::new();

/// External addresses that have policy routes of their own.
#[btf_map]
pub(crate) static BY_SOURCE: LpmTrie<Addr, u32, { MAX_PREFIXES as usize }> = LpmTrie::new();

/// Packets and bytes by verdict.
#[btf_map]
pub(crate) static VERDICTS: PerCpuArray<Counter, { Verdict::COUNT as usize }> = PerCpuArray::new();

/// Events, counted.
#[btf_map]
pub(crate) static EVENTS: PerCpuArray<u64, { Event::COUNT as usize }> = PerCpuArray::new();

/// Searches for a port, by how many they tried: [`tries`].
#[btf_map]
pub(crate) static CLAIM_TRIES: PerCpuArray<u64, { tries::ELEMENTS as usize }> = PerCpuArray::new();

/// Whether anybody wants to see dropped packets.
#[btf_map]
pub(crate) static WATCH: Array<Watch, 1> = Array::new();

/// Dropped packets, for who watches.
#[btf_map]
pub(crate) static DROPS: RingBuf<Dropped, { 512 * 1024 }> = RingBuf::new();

/// Who had which external port, for who writes the log.
#[btf_map]
pub(crate) static LOG: RingBuf<LogRecord, { 1024 * 1024 }> = RingBuf::new();

/// A frame, and behind it as many bytes again: so the verifier sees that a piece of it is in bounds, wherever
/// it begins.
#[repr(C)]
pub(crate) struct Aside {
    pub(crate) frame: Frame,
    beyond: [u8; MAX_HELD_FRAME as usize],
}
