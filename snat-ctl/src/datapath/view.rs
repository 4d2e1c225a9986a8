//! The flow table and the counters as people and programs read them.

use std::{borrow::Cow, collections::BTreeMap, net::Ipv4Addr};

use serde::Serialize;
use snat_common::{Counter, Direction, Verdict};

use super::{
    Pins,
    map::{Map, MapError, value},
    names::{protocol_name, state_name},
    sweep::now,
};

/// A flow: client -> external -> server, with both directions' counters.
#[derive(Clone, Debug, Serialize)]
pub struct Flow {
    /// `tcp`, `udp`, `icmp`, `udp_lite`, `sctp`, `gre`, `esp`; of any other, its number.
    pub protocol: Cow<'static, str>,
    /// Who opened it.
    pub client: Ipv4Addr,
    /// Its port, or echo identifier; 0 where the protocol has none.
    pub client_port: u16,
    /// The address the server sees.
    pub external: Ipv4Addr,
    /// The port or identifier the server sees.
    pub external_port: u16,
    /// Whom it is with.
    pub server: Ipv4Addr,
    /// The server's port; 0 for ICMP, and where the protocol has none.
    pub server_port: u16,
    /// Where it stands.
    pub state: &'static str,
    /// Seconds since it was opened.
    pub age_seconds: f64,
    /// Seconds since either direction was used.
    pub idle_seconds: f64,
    /// Packets from the client.
    pub packets_out: u64,
    /// Their bytes, IP header included.
    pub bytes_out: u64,
    /// Packets to the client.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
}

/// Packets and bytes by verdict's name, over all CPUs.
pub type Totals = BTreeMap<&'static str, (u64, u64)>;

/// Lists the flows, in the table's order.
///
/// # Errors
///
/// [`MapError`].
pub fn flows(pins: &Pins) -> Result<Vec<Flow>, MapError> {
    let map = Map::open(pins.dir(), "FLOWS")?;
    let now = now();
    let mut outs = Vec::new();
    let mut ins = BTreeMap::new();
    map.for_each(|key, entry| {
        if let (Some(key), Some(entry)) = (RawKey::of(key), RawEntry::of(entry)) {
            if entry.direction() == Direction::Out as u8 {
                outs.push((key, entry));
            } else {
                ins.insert(key.0, entry);
            }
        }
    })?;
    Ok(outs
        .iter()
        .map(|(key, entry)| {
            let back = ins.get(&key.partner(entry).0);
            flow(key, entry, back, now)
        })
        .collect())
}

/// How many flows there are and how many there can be.
///
/// # Errors
///
/// [`MapError`].
pub fn usage(pins: &Pins) -> Result<(u64, u64), MapError> {
    let map = Map::open(pins.dir(), "FLOWS")?;
    let mut flows = 0;
    map.for_each(|_, entry| {
        let out =
            RawEntry::of(entry).is_some_and(|entry| entry.direction() == Direction::Out as u8);
        flows += u64::from(out);
    })?;
    Ok((flows, u64::from(map.max_entries() / 2)))
}

/// Reads the counters.
///
/// # Errors
///
/// [`MapError`].
pub fn totals(pins: &Pins) -> Result<Totals, MapError> {
    let map = Map::open(pins.dir(), "VERDICTS")?;
    let mut totals = Totals::new();
    for verdict in Verdict::ALL {
        let per_cpu = map
            .get(&(*verdict as u32).to_ne_bytes())?
            .unwrap_or_default();
        let sum = per_cpu
            .chunks_exact(size_of::<Counter>())
            .map(value::<Counter>)
            .fold((0, 0), |(packets, bytes), counter| {
                (packets + counter.packets, bytes + counter.bytes)
            });
        totals.insert(verdict.name(), sum);
    }
    Ok(totals)
}

fn flow(key: &RawKey, out: &RawEntry, back: Option<&RawEntry>, now: u32) -> Flow {
    let idle = |entry: &RawEntry| age(now, entry.last_seen());
    let idle = back.map_or(idle(out), |back| idle(out).min(idle(back)));
    Flow {
        protocol: match key.number() {
            0 => protocol_name(key.protocol()).into(),
            number => number.to_string().into(),
        },
        client: key.src(),
        client_port: key.src_port(),
        external: out.addr(),
        external_port: out.port(),
        server: key.dst(),
        server_port: key.dst_port(),
        // The In entry has the last word.
        state: state_name(back.unwrap_or(out).state()),
        age_seconds: seconds(age(now, out.created())),
        idle_seconds: seconds(idle),
        packets_out: out.packets(),
        bytes_out: out.bytes(),
        packets_in: back.map_or(0, RawEntry::packets),
        bytes_in: back.map_or(0, RawEntry::bytes),
    }
}

fn age(now: u32, then: u32) -> u32 {
    let age = now.wrapping_sub(then);
    if age > u32::MAX / 2 { 0 } else { age }
}

fn seconds(ticks: u32) -> f64 {
    let nanos = u64::from(ticks) << snat_common::settings::TICK_SHIFT;
    (nanos / 1_000_000) as f64 / 1000.0
}

/// The bytes of a `FlowKey`, read field by field: nothing says that they make valid enums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RawKey([u8; Self::LEN]);

impl RawKey {
    /// How many bytes.
    pub(super) const LEN: usize = size_of::<snat_common::FlowKey>();

    /// Of a map's key.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// As they are in the map.
    pub(super) fn bytes(&self) -> [u8; Self::LEN] {
        self.0
    }

    /// The key of the `In` entry that goes with this `Out` key and its entry.
    fn partner(&self, out: &RawEntry) -> Self {
        let mut partner = [0; Self::LEN];
        partner[0..4].copy_from_slice(&self.0[4..8]);
        partner[4..8].copy_from_slice(&out.0[0..4]);
        partner[8..10].copy_from_slice(&self.0[10..12]);
        partner[10..12].copy_from_slice(&out.0[4..6]);
        partner[12..14].copy_from_slice(&self.0[12..14]);
        Self(partner)
    }

    fn src(&self) -> Ipv4Addr {
        array::<4>(&self.0, 0).into()
    }

    fn dst(&self) -> Ipv4Addr {
        array::<4>(&self.0, 4).into()
    }

    fn src_port(&self) -> u16 {
        u16::from_ne_bytes(array(&self.0, 8))
    }

    fn dst_port(&self) -> u16 {
        u16::from_ne_bytes(array(&self.0, 10))
    }

    fn protocol(&self) -> u8 {
        self.0[12]
    }

    /// The IP protocol's number, of those that have no name.
    fn number(&self) -> u8 {
        self.0[13]
    }
}

/// The bytes of a `FlowEntry`, likewise.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawEntry([u8; size_of::<snat_common::FlowEntry>()]);

macro_rules! fields {
    ($($name:ident: $type:ty = $field:ident;)+) => {
        $(
            /// The field of that name.
            pub(super) fn $name(&self) -> $type {
                const AT: usize = std::mem::offset_of!(snat_common::FlowEntry, $field);
                <$type>::from_ne_bytes(array(&self.0, AT))
            }
        )+
    };
}

impl RawEntry {
    /// Of a map's value.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn addr(&self) -> Ipv4Addr {
        array::<4>(&self.0, 0).into()
    }

    fields! {
        port: u16 = port;
        last_seen: u32 = last_seen;
        state: u8 = state;
        direction: u8 = direction;
        created: u32 = created;
        packets: u64 = packets;
        bytes: u64 = bytes;
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("inside the entry")
}
