//! Which flows and mappings a configuration allows: what it would open itself.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
    ops::RangeInclusive,
};

use ipnet::Ipv4Net;
use snat_common::{
    Addr, Protocol,
    hold::FROM_OUTSIDE,
    settings::{Filtering, protocols},
};

use super::{
    Desired, Host,
    desired::addresses,
    raw::{RawEntry, RawKey},
};
use crate::config::{Config, Mapping, Ports, Snat};

/// What one configuration allows on this host.
#[derive(Debug, PartialEq, Eq)]
pub struct Allowed {
    sources: Prefixes<usize>,
    entries: Vec<Entry>,
    bypass: Prefixes<()>,
    /// External addresses: who sends to one of them is never bypassed.
    externals: BTreeSet<Addr>,
    /// Protocol and external endpoint, to the internal one.
    forwards: HashMap<(u8, Endpoint), Endpoint>,
    forwarded: BTreeSet<u16>,
    protocols: u8,
}

type Endpoint = (Ipv4Addr, u16);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    addrs: BTreeSet<Addr>,
    /// `None`: `auto`. A port that the host has begun to use itself keeps the flows that it has.
    ports: Option<Vec<RangeInclusive<u16>>>,
    filtering: u8,
}

impl Allowed {
    /// By a configuration, and what it wants of the maps.
    #[must_use]
    pub fn by(config: &Config, host: &Host, desired: &Desired) -> Self {
        let sources = config.snat.iter().enumerate();
        let sources =
            sources.flat_map(|(entry, snat)| snat.source.iter().map(move |net| (*net, entry)));
        let bypass = config.bypass.iter().flat_map(|bypass| &bypass.destination);
        let forward = config.forward.iter();
        Self {
            sources: sources.collect(),
            entries: config
                .snat
                .iter()
                .map(|snat| Entry::of(snat, host))
                .collect(),
            bypass: bypass.map(|net| (*net, ())).collect(),
            externals: desired.externals.keys().copied().collect(),
            forwards: forward
                .clone()
                .map(|forward| {
                    let (external, internal) = (forward.external, forward.internal);
                    let key = (forward.protocol as u8, (*external.ip(), external.port()));
                    (key, (*internal.ip(), internal.port()))
                })
                .collect(),
            forwarded: forward.map(|forward| forward.external.port()).collect(),
            protocols: config.protocols,
        }
    }

    /// Whether a flow may live. `is_mapped` says whether the external endpoint leads to the client still, asked only of
    /// flows that were opened from outside.
    pub(super) fn flow(
        &self,
        key: &RawKey,
        out: &RawEntry,
        is_mapped: impl FnOnce() -> bool,
    ) -> bool {
        let (client, external) = ((key.src(), key.src_port()), (out.addr(), out.port()));
        if self.forwards.get(&(key.protocol(), external)) == Some(&client) {
            return true;
        }
        let let_in = out.holds() & FROM_OUTSIDE != 0;
        let is_bypassed = || {
            !self.externals.contains(&key.dst().octets()) && self.bypass.find(key.dst()).is_some()
        };
        self.endpoint(key.protocol(), client.0, external).is_some()
            && if let_in { is_mapped() } else { !is_bypassed() }
    }

    /// Whether a client may have this external endpoint; if so, the number of the filtering that goes with it.
    pub(super) fn endpoint(
        &self,
        protocol: u8,
        client: Ipv4Addr,
        external: Endpoint,
    ) -> Option<u8> {
        let entry = self.entries.get(*self.sources.find(client)?)?;
        let (addr, port) = external;
        let fits = !has_ports(protocol)
            || !self.forwarded.contains(&port)
                && entry
                    .ports
                    .as_ref()
                    .is_none_or(|ports| ports.iter().any(|range| range.contains(&port)));
        (self.translates(protocol) && entry.addrs.contains(&addr.octets()) && fits)
            .then_some(entry.filtering)
    }

    fn translates(&self, protocol: u8) -> bool {
        let always = [Protocol::Icmp, Protocol::Tcp, Protocol::Udp];
        let by_bit = [
            (Protocol::UdpLite, protocols::UDP_LITE),
            (Protocol::Sctp, protocols::SCTP),
            (Protocol::Gre, protocols::GRE),
            (Protocol::Esp, protocols::ESP),
            (Protocol::Other, protocols::OTHERS),
        ];
        always.iter().any(|known| *known as u8 == protocol)
            || by_bit
                .iter()
                .any(|(known, bit)| *known as u8 == protocol && self.protocols & bit != 0)
    }
}

impl Entry {
    fn of(snat: &Snat, host: &Host) -> Self {
        Self {
            addrs: addresses(snat, host),
            ports: match &snat.ports {
                Ports::Auto => None,
                Ports::Ranges(ranges) => Some(ranges.clone()),
            },
            // Ports that are shared have this one, whatever the configuration says.
            filtering: if snat.mapping == Mapping::AddressAndPortDependent {
                Filtering::AddressAndPortDependent
            } else {
                snat.filtering
            } as u8,
        }
    }
}

/// Whether the external port is ours to choose.
fn has_ports(protocol: u8) -> bool {
    use Protocol::{Icmp, Tcp, Udp, UdpLite};
    [Icmp, Tcp, Udp, UdpLite]
        .iter()
        .any(|known| *known as u8 == protocol)
}

/// Prefixes, of which the longest around an address counts.
#[derive(Debug, PartialEq, Eq)]
struct Prefixes<T>(BTreeMap<u8, HashMap<Ipv4Addr, T>>);

impl<T> FromIterator<(Ipv4Net, T)> for Prefixes<T> {
    fn from_iter<I: IntoIterator<Item = (Ipv4Net, T)>>(nets: I) -> Self {
        let mut prefixes = BTreeMap::<_, HashMap<_, _>>::new();
        for (net, value) in nets {
            let of_length = prefixes.entry(net.prefix_len()).or_default();
            of_length.insert(net.network(), value);
        }
        Self(prefixes)
    }
}

impl<T> Prefixes<T> {
    fn find(&self, addr: Ipv4Addr) -> Option<&T> {
        self.0.iter().rev().find_map(|(len, nets)| {
            let net = Ipv4Net::new_assert(addr, *len);
            nets.get(&net.network())
        })
    }
}
