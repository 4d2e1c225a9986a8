//! Ends what a configuration allows no longer: flows, and mappings that new flows would find.

use snat_common::{
    Mapping, MappingKey, MappingKind, Protocol, State,
    mappings::outer_key,
    sweep::{Kind, MAX_KEYS},
};

use super::{
    Allowed, Pins,
    map::{Map, MapError, bytes, value},
    names::PROTOCOLS,
    raw::{RawEntry, RawKey},
    sweep::{SweepError, Sweeper, now},
};

/// Walks, until one finds nothing: packets that were under way may have opened more.
const WALKS: u32 = 4;
const MAPPING: usize = size_of::<MappingKey>();

/// Ends every flow that is not allowed, and says how many. Mappings come first: what is opened from then on does not find them.
///
/// Whoever speaks on an ended flow is told, and the flow is removed a short time later.
///
/// # Errors
///
/// [`SweepError`]; what was ended before stays so.
pub fn end_others(pins: &Pins, allowed: &Allowed) -> Result<u64, SweepError> {
    let sweeper = Sweeper::open(pins)?;
    let mut ended = 0;
    for _ in 0..WALKS {
        change_mappings(pins, &sweeper, allowed)?;
        let looked = now();
        let mut keys = Vec::new();
        let mut failed = None;
        let mut found = 0;
        let mut end = |keys: &mut Vec<u8>| {
            match sweeper.remove(Kind::End, RawKey::LEN, keys, looked) {
                Ok(count) => ended += u64::from(count),
                Err(error) => failed = Some(error),
            }
            keys.clear();
        };
        others(pins, allowed, |key| {
            found += 1;
            keys.extend(key.bytes());
            if keys.len() == MAX_KEYS as usize * RawKey::LEN {
                end(&mut keys);
            }
        })?;
        end(&mut keys);
        failed.map_or(Ok(()), Err)?;
        if found == 0 {
            break;
        }
    }
    Ok(ended)
}

/// How many flows [`end_others`] would end now.
///
/// # Errors
///
/// [`MapError`].
pub fn count_others(pins: &Pins, allowed: &Allowed) -> Result<u64, MapError> {
    let mut count = 0;
    others(pins, allowed, |_| count += 1)?;
    Ok(count)
}

/// Calls `visit` with the `Out` key of every flow that is not allowed and goes on nevertheless.
fn others(pins: &Pins, allowed: &Allowed, mut visit: impl FnMut(RawKey)) -> Result<(), MapError> {
    let flows = Map::open(pins.dir(), "FLOWS")?;
    let mappings = Map::open(pins.dir(), "MAPPINGS")?;
    let mut failed = None;
    flows.for_each(|key, entry| {
        let (Some(key), Some(out)) = (RawKey::of(key), RawEntry::of(entry)) else {
            return;
        };
        if !out.is_out() || out.state() == State::Ended as u8 {
            return;
        }
        let is_mapped = || {
            leads_to(&mappings, &key, &out).unwrap_or_else(|error| {
                failed = Some(error);
                // What can't be read is not ended for that.
                true
            })
        };
        if !allowed.flow(&key, &out, is_mapped) {
            visit(key);
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// Whether a flow's external endpoint still leads to its client.
fn leads_to(mappings: &Map, key: &RawKey, out: &RawEntry) -> Result<bool, MapError> {
    let Some(protocol) = protocol(key.protocol()) else {
        return Ok(false);
    };
    let outer = outer_key(out.addr().octets(), out.port(), protocol);
    let found = mappings.get(bytes(&outer))?;
    let client = (key.src().octets(), key.src_port());
    Ok(found.is_some_and(|found| {
        let mapping: Mapping = value(&found);
        (mapping.addr, mapping.port) == client
    }))
}

fn protocol(number: u8) -> Option<Protocol> {
    let mut known = PROTOCOLS.iter();
    let known = known.find(|(protocol, _)| *protocol as u8 == number);
    known.map(|(protocol, _)| *protocol)
}

/// Takes mappings that are not allowed from new flows, and has the others let in whom they should.
fn change_mappings(pins: &Pins, sweeper: &Sweeper, allowed: &Allowed) -> Result<(), SweepError> {
    let mut revoked: Vec<u8> = Vec::new();
    let mut refiltered: [Vec<u8>; 3] = Default::default();
    Map::open(pins.dir(), "MAPPINGS")?.for_each(|key, found| {
        match judge(key, &value(found), allowed) {
            Verdict::Stays => {}
            Verdict::Revoked => revoked.extend(key),
            Verdict::Refiltered(filtering) => refiltered[usize::from(filtering)].extend(key),
        }
    })?;
    sweeper.remove(Kind::Revoke, MAPPING, &revoked, 0)?;
    for (filtering, keys) in refiltered.iter().enumerate() {
        sweeper.refilter(filtering as u8, keys)?;
    }
    Ok(())
}

/// What becomes of an element of `MAPPINGS`.
enum Verdict {
    Stays,
    Revoked,
    Refiltered(u8),
}

fn judge(key: &[u8], mapping: &Mapping, allowed: &Allowed) -> Verdict {
    const KIND_AT: usize = std::mem::offset_of!(MappingKey, kind);
    const PROTOCOL_AT: usize = std::mem::offset_of!(MappingKey, protocol);
    const PORT_AT: usize = std::mem::offset_of!(MappingKey, port);
    if mapping.is_static != 0 || key[KIND_AT] != MappingKind::Outer as u8 {
        return Verdict::Stays;
    }
    let addr: [u8; 4] = value(&key[..4]);
    let port = u16::from_ne_bytes([key[PORT_AT], key[PORT_AT + 1]]);
    let external = (addr.into(), port);
    match allowed.endpoint(key[PROTOCOL_AT], mapping.addr.into(), external) {
        None => Verdict::Revoked,
        Some(filtering) if filtering != mapping.filtering => Verdict::Refiltered(filtering),
        Some(_) => Verdict::Stays,
    }
}
