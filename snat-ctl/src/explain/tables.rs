//! The pinned maps of an instance, with what an explanation would change kept beside them.
//!
//! All the `unsafe` of explanations is here and in `overlay`. It is sound because an [`Overlay`]'s pointers live as
//! long as it does, everything is one thread's, and no Rust reference is made to an element that anybody writes to.

use std::{net::Ipv4Addr, path::Path};

use ipnet::Ipv4Net;
use snat_common::{
    Addr, Busy, BusyKey, BusyRef, Client, ClientRef, Eni, FlowEntry, FlowKey, FlowRef, Interface,
    Mapping, MappingKey, MappingRef, Prefix, Settings, Shared, SharedRef, SnatEntry,
    settings::ABI_VERSION,
};

use super::{ExplainError, overlay::Overlay, port_sets::PortSets};
use crate::datapath::{Map, MapError, Pins, bytes, value};

/// The maps that the engine asks for, opened.
pub(super) struct Tables {
    pub(super) settings: Settings,
    pub(super) flows: Overlay<FlowEntry>,
    pub(super) mappings: Overlay<Mapping>,
    pub(super) clients: Overlay<Client>,
    pub(super) busy: Overlay<Busy>,
    shared: Overlay<Shared>,
    /// How many flows there are.
    flows_before: u64,
    entries: Overlay<SnatEntry>,
    interfaces: Overlay<Interface>,
    enis: Overlay<Eni>,
    pub(super) ports: PortSets,
    pool: Map,
    opened: Map,
    sources: Map,
    bypass: Map,
    by_source: Map,
    externals: Map,
    slots: Map,
}

impl Tables {
    /// Opens them; they must be of this version.
    pub(super) fn open(pins: &Pins) -> Result<Self, ExplainError> {
        let dir = pins.dir();
        let mut tables = Self {
            settings: settings(dir)?,
            flows: Overlay::open(dir, "FLOWS")?,
            mappings: Overlay::open(dir, "MAPPINGS")?,
            clients: Overlay::open(dir, "CLIENTS")?,
            busy: Overlay::open(dir, "BUSY")?,
            shared: Overlay::open(dir, "SHARED")?,
            entries: Overlay::open(dir, "ENTRIES")?,
            interfaces: Overlay::open(dir, "INTERFACES")?,
            enis: Overlay::open(dir, "ENIS")?,
            ports: PortSets::open(dir)?,
            pool: Map::open(dir, "POOL")?,
            opened: Map::open(dir, "OPENED")?,
            sources: Map::open(dir, "SOURCES")?,
            bypass: Map::open(dir, "BYPASS")?,
            by_source: Map::open(dir, "BY_SOURCE")?,
            externals: Map::open(dir, "EXTERNALS")?,
            slots: Map::open(dir, "SLOTS")?,
            flows_before: 0,
        };
        tables.flows_before = tables.shared()?.map_or(0, |shared| shared.load().0);
        Ok(tables)
    }

    pub(super) fn flow(&self, key: &FlowKey) -> Result<Option<FlowRef<'_>>, MapError> {
        let flow = self.flows.get(bytes(key))?;
        // SAFETY: as said at the top.
        Ok(flow.map(|flow| unsafe { FlowRef::new(flow) }))
    }

    pub(super) fn mapping(&self, key: &MappingKey) -> Result<Option<MappingRef<'_>>, MapError> {
        let mapping = self.mappings.get(bytes(key))?;
        // SAFETY: as said at the top.
        Ok(mapping.map(|mapping| unsafe { MappingRef::new(mapping) }))
    }

    pub(super) fn client(&self, addr: Addr) -> Result<Option<ClientRef<'_>>, MapError> {
        let client = self.clients.get(&addr)?;
        // SAFETY: as said at the top.
        Ok(client.map(|client| unsafe { ClientRef::new(client) }))
    }

    pub(super) fn busy(&self, key: &BusyKey) -> Result<Option<BusyRef<'_>>, MapError> {
        let busy = self.busy.get(bytes(key))?;
        // SAFETY: as said at the top.
        Ok(busy.map(|busy| unsafe { BusyRef::new(busy) }))
    }

    pub(super) fn shared(&self) -> Result<Option<SharedRef<'_>>, MapError> {
        let shared = self.shared.get(&0_u32.to_ne_bytes())?;
        // SAFETY: as said at the top.
        Ok(shared.map(|shared| unsafe { SharedRef::new(shared) }))
    }

    pub(super) fn entry(&self, index: u32) -> Result<Option<&SnatEntry>, MapError> {
        // SAFETY: as said at the top.
        unsafe { self.entries.read(&index.to_ne_bytes()) }
    }

    pub(super) fn interface(&self, slot: u32) -> Result<Option<&Interface>, MapError> {
        // SAFETY: as said at the top.
        unsafe { self.interfaces.read(&slot.to_ne_bytes()) }
    }

    pub(super) fn eni(&self, ifindex: u32) -> Result<Option<&Eni>, MapError> {
        // SAFETY: as said at the top.
        unsafe { self.enis.read(&ifindex.to_ne_bytes()) }
    }

    pub(super) fn pool(&self, index: u32) -> Result<Option<Addr>, MapError> {
        let addr = self.pool.get(&index.to_ne_bytes())?;
        Ok(addr.and_then(|addr| addr.try_into().ok()))
    }

    pub(super) fn remembered(&self, place: u32) -> Result<Option<FlowKey>, MapError> {
        let words = self.opened.get(&place.to_ne_bytes())?;
        Ok(words.and_then(|words| FlowKey::of_words(value(&words))))
    }

    pub(super) fn slot(&self, ifindex: u32) -> Result<Option<u32>, MapError> {
        number(&self.slots, &ifindex.to_ne_bytes())
    }

    pub(super) fn external(&self, addr: Addr) -> Result<Option<u32>, MapError> {
        number(&self.externals, &addr)
    }

    pub(super) fn source_entry(&self, addr: Addr) -> Result<Option<u32>, MapError> {
        number(&self.sources, bytes(&whole(addr)))
    }

    pub(super) fn bypassed(&self, addr: Addr) -> Result<bool, MapError> {
        Ok(self.bypass.get(bytes(&whole(addr)))?.is_some())
    }

    pub(super) fn has_own_routes(&self, addr: Addr) -> Result<bool, MapError> {
        Ok(self.by_source.get(bytes(&whole(addr)))?.is_some())
    }

    /// The client prefix that `addr` is in: the longest.
    pub(super) fn source_prefix(&self, addr: Addr) -> Result<Option<Ipv4Net>, MapError> {
        around(&self.sources, addr)
    }

    /// The bypass prefix that `addr` is in.
    pub(super) fn bypass_prefix(&self, addr: Addr) -> Result<Option<Ipv4Net>, MapError> {
        around(&self.bypass, addr)
    }

    /// Whether one more entry of the flow table has room: each flow that is counted is two.
    pub(super) fn has_room(&self) -> bool {
        self.flows.has_room(2 * self.flows_before)
    }
}

/// The key that finds the longest prefix around an address.
const fn whole(addr: Addr) -> Prefix {
    Prefix { len: 32, addr }
}

fn number(map: &Map, key: &[u8]) -> Result<Option<u32>, MapError> {
    Ok(map.get(key)?.as_deref().map(value))
}

/// The kernel says of a trie what it finds, not where: the keys do.
fn around(trie: &Map, addr: Addr) -> Result<Option<Ipv4Net>, MapError> {
    let prefixes = trie.keys()?;
    Ok(prefixes
        .iter()
        .map(|key| value::<Prefix>(key))
        .filter_map(|prefix| Ipv4Net::new(prefix.addr.into(), prefix.len as u8).ok())
        .filter(|net| net.contains(&Ipv4Addr::from(addr)))
        .max_by_key(Ipv4Net::prefix_len))
}

/// The settings, if they are of this version.
fn settings(dir: &Path) -> Result<Settings, ExplainError> {
    let bytes = Map::open(dir, "SETTINGS")?.get(&0_u32.to_ne_bytes())?;
    let bytes = bytes.unwrap_or_default();
    // The first field, in every version.
    let found = bytes
        .first_chunk()
        .map_or(0, |abi| u32::from_ne_bytes(*abi));
    if found != ABI_VERSION || bytes.len() != size_of::<Settings>() {
        return Err(ExplainError::OtherAbi { found });
    }
    Ok(value(&bytes))
}
