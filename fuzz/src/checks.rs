//! What holds for every frame and every table, whatever came in.

use std::collections::HashMap;

use snat_common::{
    Action, Addr, Direction, FlowKey, Held, MappingKey, MappingKind, Verdict, hold,
    mappings::{outer_key, permission_key},
};

use crate::{
    host::Host,
    network::{is_client, is_external},
};

/// A frame as it came, and as it is now.
pub(crate) fn frame(verdict: Verdict, before: &[u8], after: &[u8]) {
    assert_eq!(before.len(), after.len());
    if verdict.action() != Action::Forward {
        // One that went round may have been refused half-way, and then shows the external source at most.
        assert!(
            before == after || is_external(addr(after, 26)),
            "{verdict:?}"
        );
        return;
    }
    let header = usize::from(after[14] & 15) * 4;
    assert_eq!(sum(&after[14..14 + header], 0), 0xffff, "header checksum");
    assert_eq!(after[22], before[22] - 1, "TTL");
    let (src, dst) = (addr(after, 26), addr(after, 30));
    match verdict {
        Verdict::TranslatedOut | Verdict::ErrorOut => {
            assert!(is_external(src), "left from {src:?}");
            assert_eq!(dst, addr(before, 30));
        }
        _ => assert!(is_client(dst), "came to {dst:?}"),
    }
    let is_fragment = (u16::from(before[20]) << 8 | u16::from(before[21])) & 0x3fff != 0;
    let (old, new) = (Transport::of(before), Transport::of(after));
    if let (Some(old), Some(new)) = (old, new)
        && !is_fragment
    {
        assert!(
            !old.is_right() || new.is_right(),
            "{verdict:?} broke a checksum"
        );
        if !matches!(verdict, Verdict::ErrorIn | Verdict::ErrorOut) {
            assert_eq!(
                old.payload(),
                new.payload(),
                "{verdict:?} touched the payload"
            );
        }
    }
}

/// Every flow is whole, and everything is held by as many as need it.
pub(crate) fn tables(host: &mut Host) {
    let mut mappings: HashMap<MappingKey, u32> = HashMap::new();
    let mut clients: HashMap<Addr, u32> = HashMap::new();
    let flows: HashMap<_, _> = host.entries().into_iter().collect();
    for (key, entry) in &flows {
        let (src, src_port, dst, dst_port) = match entry.direction {
            Direction::In => (entry.addr, entry.port, key.src, key.src_port),
            Direction::Out => (key.dst, key.dst_port, entry.addr, entry.port),
        };
        let partner = FlowKey {
            src,
            dst,
            src_port,
            dst_port,
            ..*key
        };
        let other = flows.get(&partner);
        let other = other.unwrap_or_else(|| panic!("{key:?} has no other half"));
        assert!(entry.direction != other.direction && entry.state == other.state);
        if entry.direction == Direction::Out {
            continue;
        }
        assert!(
            is_client(entry.addr) && is_external(key.dst),
            "{key:?} {entry:?}"
        );
        let outer = outer_key(key.dst, key.dst_port, key.protocol);
        let permission = permission_key(key.dst, key.dst_port, key.protocol, key.src);
        for (bit, held) in [(hold::MAPPING, outer), (hold::PERMISSION, permission)] {
            if entry.holds & bit != 0 {
                *mappings.entry(held).or_default() += 1;
            }
        }
        if entry.holds & hold::CLIENT != 0 {
            *clients.entry(entry.addr).or_default() += 1;
        }
    }
    for (key, mapping) in host.mappings.copies() {
        let needed = mappings.remove(&key).unwrap_or(0);
        if key.kind != MappingKind::Inner {
            assert_eq!(Held::holders(mapping.held), needed, "{key:?}");
        }
    }
    assert!(mappings.is_empty(), "held and gone: {mappings:?}");
    for (addr, client) in host.clients.copies() {
        let needed = clients.remove(&addr).unwrap_or(0);
        assert_eq!(Held::holders(client.held), needed, "{addr:?}");
    }
    assert!(clients.is_empty(), "counted and gone: {clients:?}");
    assert_eq!(host.shared().flows, flows.len() as u64 / 2);
}

/// Nothing is left but what the configuration made.
pub(crate) fn empty(host: &mut Host) {
    assert_eq!(host.entries(), []);
    assert_eq!(host.mappings.len(), host.contents.forwards.len());
    assert_eq!(host.clients.len(), 0);
    let shared = host.shared();
    assert_eq!((shared.flows, shared.clients), (0, 0));
}

/// The part of a frame that a transport checksum covers.
struct Transport<'a> {
    protocol: u8,
    pseudo: u32,
    segment: &'a [u8],
    /// Where the checksum is, and where the payload begins.
    at: (usize, usize),
}

impl<'a> Transport<'a> {
    fn of(frame: &'a [u8]) -> Option<Self> {
        let header = usize::from(frame[14] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let mut segment = frame.get(14 + header..14 + total)?;
        let protocol = frame[23];
        let at = match protocol {
            6 => (16, usize::from(segment.get(12)? >> 4) * 4),
            17 => {
                let length = u16::from_be_bytes([*segment.get(4)?, *segment.get(5)?]);
                segment = segment.get(..usize::from(length))?;
                (6, 8)
            }
            1 => (2, 8),
            _ => return None,
        };
        let pseudo = if protocol == 1 {
            0
        } else {
            let words = [&frame[26..34], &[0, protocol]].concat();
            u32::from(sum(&words, 0)) + segment.len() as u32
        };
        Some(Self {
            protocol,
            pseudo,
            segment,
            at,
        })
    }

    fn is_right(&self) -> bool {
        let absent = self.protocol == 17 && self.segment.get(6..8) == Some(&[0, 0]);
        absent || sum(self.segment, self.pseudo) == 0xffff
    }

    fn payload(&self) -> Option<&[u8]> {
        self.segment.get(self.at.1..)
    }
}

/// The one's-complement sum.
pub(crate) fn sum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

pub(crate) fn addr(frame: &[u8], at: usize) -> Addr {
    frame
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap_or_default()
}
