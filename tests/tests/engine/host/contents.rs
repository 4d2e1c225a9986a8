//! What the configuration decides, as the engine on the host reads it.

use std::collections::{BTreeMap, HashMap};

use snat_common::{
    Addr, Eni, Interface, Mapping, MappingKey, Prefix, Settings, SnatEntry, settings::PORT_WORDS,
};

/// The contents of the maps that only the control plane writes.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) settings: Settings,
    pub(crate) entries: Vec<SnatEntry>,
    pub(crate) pool: Vec<Addr>,
    pub(crate) externals: BTreeMap<Addr, u32>,
    pub(crate) sources: Vec<(Prefix, u32)>,
    pub(crate) bypass: Vec<Prefix>,
    pub(crate) port_sets: Vec<Ports>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) forwards: HashMap<MappingKey, Mapping>,
    pub(crate) enis: HashMap<u32, Eni>,
    /// Addresses that have routes of their own.
    pub(crate) by_source: Vec<Addr>,
}

/// A set of external ports.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    /// Ascending.
    pub(crate) list: Vec<u16>,
    /// The same as bits.
    pub(crate) allowed: Vec<u64>,
}

impl Ports {
    /// Of a list in ascending order.
    pub(crate) fn new(list: Vec<u16>) -> Self {
        let mut allowed = vec![0; PORT_WORDS as usize];
        for port in &list {
            allowed[usize::from(port / 64)] |= 1 << (port % 64);
        }
        Self { list, allowed }
    }
}
