//! Whose each external port is: what lives now, and what the datapath logs of it as it changes.

use aya::maps::{MapData, RingBuf};
use snat_common::{
    FlowKey, Mapping, MappingKey, MappingKind,
    log::{Kind, LogRecord},
    mapping::hold,
};

use super::{
    Pins,
    map::{Map, MapError, value},
    raw::{RawEntry, RawKey},
    ring::ring,
};

/// The reading end of map `LOG`. One process at a time has it.
pub struct LogRing(RingBuf<MapData>);

impl LogRing {
    /// Opens what is pinned. What nobody has read yet comes first.
    ///
    /// # Errors
    ///
    /// [`MapError`] where it is not there.
    pub fn open(pins: &Pins) -> Result<Self, MapError> {
        ring(pins, "LOG").map(Self)
    }

    /// The oldest record, which makes room for another.
    pub fn take(&mut self) -> Option<LogRecord> {
        loop {
            let item = self.0.next()?;
            if item.len() >= size_of::<LogRecord>() {
                return Some(value(&item[..size_of::<LogRecord>()]));
            }
        }
    }
}

/// Calls `visit` with a record for every mapping that is there, forwards among them, and for every flow whose port is
/// no client's own, or, if `all`, for every flow. Their time is 0. Ends where `visit` says false.
///
/// # Errors
///
/// [`MapError`].
pub fn owners(
    pins: &Pins,
    all: bool,
    mut visit: impl FnMut(LogRecord) -> bool,
) -> Result<(), MapError> {
    let mut more = true;
    Map::open(pins.dir(), "MAPPINGS")?.for_each(|key, mapping| {
        if more && key[std::mem::offset_of!(MappingKey, kind)] == MappingKind::Outer as u8 {
            more = visit(mapped(key, &value(mapping)));
        }
    })?;
    Map::open(pins.dir(), "FLOWS")?.for_each(|key, entry| {
        if let (true, Some(key), Some(entry)) = (more, RawKey::of(key), RawEntry::of(entry))
            && !entry.is_out()
            && (all || entry.holds() & hold::MAPPING == 0)
        {
            more = visit(flowing(&key, &entry, all));
        }
    })
}

fn mapped(key: &[u8], mapping: &Mapping) -> LogRecord {
    let at = std::mem::offset_of!(MappingKey, port);
    LogRecord {
        client: mapping.addr,
        client_port: mapping.port,
        external: [key[0], key[1], key[2], key[3]],
        external_port: u16::from_ne_bytes([key[at], key[at + 1]]),
        protocol: key[std::mem::offset_of!(MappingKey, protocol)],
        ..record(Kind::MappingMade)
    }
}

fn flowing(key: &RawKey, entry: &RawEntry, all: bool) -> LogRecord {
    let flow = LogRecord {
        client: entry.addr().octets(),
        client_port: entry.port(),
        external: key.dst().octets(),
        external_port: key.dst_port(),
        protocol: key.protocol(),
        number: key.number(),
        ..record(Kind::FlowOpened)
    };
    if !all {
        return flow;
    }
    LogRecord {
        server: key.src().octets(),
        server_port: key.src_port(),
        ..flow
    }
}

fn record(kind: Kind) -> LogRecord {
    LogRecord {
        time: 0,
        client: [0; 4],
        external: [0; 4],
        server: [0; 4],
        client_port: 0,
        external_port: 0,
        server_port: 0,
        protocol: 0,
        number: 0,
        kind: kind as u8,
        zero: [0; 3],
    }
}

const _: () = assert!(std::mem::offset_of!(FlowKey, src) == 0);
