//! A flow as people and programs read it.

use std::{borrow::Cow, net::Ipv4Addr, sync::Arc};

use serde::{Serialize, Serializer};
use snat_common::{clock::age, settings::TICK_SHIFT};

use super::{
    names::{protocol_label, state_name},
    raw::{RawEntry, RawKey},
};

/// A flow: client -> external -> server, with both directions' counters.
#[derive(Clone, Debug, Serialize)]
pub struct Flow {
    /// Which one it is, among those there are at a time.
    #[serde(skip)]
    pub id: RawKey,
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
    /// The interface its packets to the server leave by; none before the first did.
    #[serde(serialize_with = "text")]
    pub eni: Option<Arc<str>>,
    /// Of both directions, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits_per_second: Option<f64>,
}

impl Flow {
    /// What the entry of direction `Out` knows; `eni` is the name of its interface.
    pub(super) fn outward(key: RawKey, out: &RawEntry, eni: Option<Arc<str>>, now: u32) -> Self {
        Self {
            id: key,
            protocol: protocol_label(key.protocol(), key.number()),
            client: key.src(),
            client_port: key.src_port(),
            external: out.addr(),
            external_port: out.port(),
            server: key.dst(),
            server_port: key.dst_port(),
            state: state_name(out.state()),
            age_seconds: seconds(age(now, out.created())),
            idle_seconds: seconds(age(now, out.last_seen())),
            packets_out: out.packets(),
            bytes_out: out.bytes(),
            packets_in: 0,
            bytes_in: 0,
            eni,
            bits_per_second: None,
        }
    }

    /// Adds what the entry of direction `In` knows, unless it is another client's by now.
    pub(super) fn add_inward(&mut self, back: &RawEntry, now: u32) {
        if back.is_out() || (back.addr(), back.port()) != (self.client, self.client_port) {
            return;
        }
        // It has the last word.
        self.state = state_name(back.state());
        let idle = seconds(age(now, back.last_seen()));
        self.idle_seconds = self.idle_seconds.min(idle);
        self.packets_in = back.packets();
        self.bytes_in = back.bytes();
    }

    /// The key of its entry of direction `In`.
    pub(super) fn in_key(&self) -> RawKey {
        self.id.partner(self.external, self.external_port)
    }

    /// Bytes of both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes_out + self.bytes_in
    }

    /// Packets of both directions.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets_out + self.packets_in
    }
}

#[cfg(test)]
impl Flow {
    /// A TCP flow to the server's port 443, 10 s old.
    pub(crate) fn sample(server: Ipv4Addr, bits_per_second: f64) -> Self {
        let key = RawKey::of(&[0; RawKey::LEN]).expect("a key");
        let entry = RawEntry::of(&[0; RawEntry::LEN]).expect("an entry");
        Self {
            protocol: "tcp".into(),
            external: Ipv4Addr::new(203, 0, 113, 10),
            external_port: 20_000,
            server,
            server_port: 443,
            state: "established",
            age_seconds: 10.0,
            bits_per_second: Some(bits_per_second),
            ..Self::outward(key, &entry, Some("eth1".into()), 0)
        }
    }
}

/// Ticks as seconds, to the millisecond.
pub(super) fn seconds(ticks: u32) -> f64 {
    let nanos = u64::from(ticks) << TICK_SHIFT;
    (nanos / 1_000_000) as f64 / 1000.0
}

fn text<S: Serializer>(name: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    name.as_deref().serialize(serializer)
}
