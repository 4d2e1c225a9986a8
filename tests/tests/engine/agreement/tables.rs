//! What both have in their tables: the same, but for clocks and cached routes.

use std::{collections::BTreeMap, fmt::Debug, mem::offset_of};

use anyhow::{Result, ensure};
use snat_common::{Client, FlowEntry, FlowKey, Held, Mapping, MappingKey};

use crate::{
    both::Both,
    kernel::{RawClient, RawEntry, RawKey, RawMapping, RawMappingKey},
};

/// Element by element.
pub(crate) fn compare(both: &mut Both<'_>) -> Result<()> {
    let host = &both.host;
    let ours = host.entries();
    let ours = ours
        .iter()
        .map(|(key, entry)| (key_bytes(key), essence(entry)));
    let theirs = both.kernel.entries()?;
    let theirs = theirs.iter().map(|(key, entry)| (*key, raw_essence(entry)));
    same("flow", &ours.collect(), &theirs.collect())?;

    let ours = host.mappings.copies();
    let ours = ours
        .iter()
        .map(|(key, mapping)| (mapping_key_bytes(key), held_by(mapping)));
    let theirs = both.kernel.mappings()?;
    let theirs = theirs
        .iter()
        .map(|(key, mapping)| (*key, raw_held_by(mapping)));
    same("mapping", &ours.collect(), &theirs.collect())?;

    let ours = host.clients.copies();
    let ours = ours
        .iter()
        .map(|(addr, client)| (*addr, Held::holders(client.held)));
    let theirs = both.kernel.clients()?;
    let theirs = theirs
        .iter()
        .map(|(addr, client)| (*addr, flows_of(client)));
    same("client", &ours.collect(), &theirs.collect())?;

    let ours = both.host.shared();
    let theirs = both.kernel.shared()?;
    ensure!(
        (ours.flows, ours.clients) == theirs,
        "{ours:?} on the host, {theirs:?} in the kernel"
    );
    Ok(())
}

/// No flow is left, and nobody holds anything.
pub(crate) fn are_free(both: &mut Both<'_>) -> Result<()> {
    compare(both)?;
    let shared = both.host.shared();
    ensure!(
        (shared.flows, shared.clients) == (0, 0),
        "{shared:?} without a flow"
    );
    for (key, mapping) in both.host.mappings.copies() {
        ensure!(Held::holders(mapping.held) == 0, "{key:?} is still held");
    }
    for (addr, client) in both.host.clients.copies() {
        ensure!(Held::holders(client.held) == 0, "{addr:?} still has flows");
    }
    Ok(())
}

fn same<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    ours: &BTreeMap<K, V>,
    theirs: &BTreeMap<K, V>,
) -> Result<()> {
    for (key, element) in ours {
        let other = theirs.get(key);
        ensure!(
            other == Some(element),
            "{what} {key:02x?}: the host has {element:02x?}, the kernel {other:02x?}"
        );
    }
    ensure!(
        ours.len() == theirs.len(),
        "{what}: the kernel has {} elements, the host {}",
        theirs.len(),
        ours.len()
    );
    Ok(())
}

/// As the map has it.
pub(crate) fn key_bytes(key: &FlowKey) -> RawKey {
    let FlowKey {
        src,
        dst,
        src_port,
        dst_port,
        protocol,
        number,
        zero,
    } = *key;
    let mut bytes = [0; size_of::<FlowKey>()];
    let ports = [src_port.to_ne_bytes(), dst_port.to_ne_bytes()].concat();
    let all = [&src[..], &dst, &ports, &[protocol as u8, number], &zero].concat();
    bytes.copy_from_slice(&all);
    bytes
}

/// Address, port, both deltas, state, direction, packets and bytes: what must be equal.
fn essence(entry: &FlowEntry) -> Vec<u8> {
    [
        &entry.addr[..],
        &entry.port.to_ne_bytes(),
        &entry.addr_delta.to_ne_bytes(),
        &[entry.state as u8, entry.direction as u8],
        &entry.port_delta.to_ne_bytes(),
        &entry.packets.to_ne_bytes(),
        &entry.bytes.to_ne_bytes(),
    ]
    .concat()
}

fn raw_essence(entry: &RawEntry) -> Vec<u8> {
    [
        &entry[..offset_of!(FlowEntry, last_seen)],
        &entry[offset_of!(FlowEntry, state)..offset_of!(FlowEntry, mtu)],
        &entry[offset_of!(FlowEntry, packets)..],
    ]
    .concat()
}

fn mapping_key_bytes(key: &MappingKey) -> RawMappingKey {
    let MappingKey {
        addr,
        peer,
        port,
        protocol,
        kind,
    } = *key;
    let mut bytes = [0; size_of::<MappingKey>()];
    let last = [protocol as u8, kind as u8];
    let all = [&addr[..], &peer, &port.to_ne_bytes(), &last].concat();
    bytes.copy_from_slice(&all);
    bytes
}

/// By how many, and all but when.
fn held_by(mapping: &Mapping) -> Vec<u8> {
    let Mapping {
        held,
        addr,
        port,
        filtering,
        is_static,
    } = *mapping;
    let holders = Held::holders(held).to_ne_bytes();
    let last = [filtering, is_static];
    [&holders[..], &addr, &port.to_ne_bytes(), &last].concat()
}

fn raw_held_by(mapping: &RawMapping) -> Vec<u8> {
    [&mapping[..4], &mapping[offset_of!(Mapping, addr)..]].concat()
}

fn flows_of(client: &RawClient) -> u32 {
    let at = offset_of!(Client, held);
    let word = [client[at], client[at + 1], client[at + 2], client[at + 3]];
    u32::from_ne_bytes(word)
}
