//! The maps, by the names under which they are pinned.
//!
//! Sizes that the configuration decides (`FLOWS`) are set by the loader.

use aya_ebpf::{
    btf_maps::{Array, HashMap, LpmTrie, PerCpuArray},
    macros::btf_map,
};
use snat_common::{
    Addr, Counter, FlowEntry, FlowKey, Interface, PortSet, Settings, SnatEntry, Verdict,
    settings::{MAX_ENTRIES, MAX_INTERFACES, MAX_POOL, MAX_PORT_SETS, MAX_PREFIXES},
};

/// Both directions of every flow.
#[btf_map]
pub(crate) static FLOWS: HashMap<FlowKey, FlowEntry, 2048> = HashMap::new();

/// One element: ABI, generation, timeouts, secret.
#[btf_map]
pub(crate) static SETTINGS: Array<Settings, 1> = Array::new();

/// Client prefixes, to an index of `ENTRIES`.
#[btf_map]
pub(crate) static SOURCES: LpmTrie<Addr, u32, { MAX_PREFIXES as usize }> = LpmTrie::new();

/// Destination prefixes that are never translated.
#[btf_map]
pub(crate) static BYPASS: LpmTrie<Addr, u32, { MAX_PREFIXES as usize }> = LpmTrie::new();

/// SNAT entries.
#[btf_map]
pub(crate) static ENTRIES: Array<SnatEntry, { MAX_ENTRIES as usize }> = Array::new();

/// External addresses of all entries, one entry's side by side.
#[btf_map]
pub(crate) static POOL: Array<Addr, { MAX_POOL as usize }> = Array::new();

/// The same as a set.
#[btf_map]
pub(crate) static EXTERNALS: HashMap<Addr, u32, { (MAX_POOL + MAX_INTERFACES) as usize }> =
    HashMap::new();

/// External ports of each distinct `ports` setting.
#[btf_map]
pub(crate) static PORT_SETS: Array<PortSet, { MAX_PORT_SETS as usize }> = Array::new();

/// The gateway's interfaces.
#[btf_map]
pub(crate) static INTERFACES: Array<Interface, { MAX_INTERFACES as usize }> = Array::new();

/// Interface index, to an index of `INTERFACES`.
#[btf_map]
pub(crate) static SLOTS: HashMap<u32, u32, { MAX_INTERFACES as usize }> = HashMap::new();

/// Packets and bytes by verdict.
#[btf_map]
pub(crate) static VERDICTS: PerCpuArray<Counter, { Verdict::COUNT as usize }> = PerCpuArray::new();
