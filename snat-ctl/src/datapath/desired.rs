//! What the maps should hold, worked out from the configuration and the host; no kernel involved.

mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
};

use snat_common::{
    Addr, Interface, Mapping, MappingKey, MappingKind, Prefix, Settings, SnatEntry,
    settings::{Filtering, MAX_PORT_SETS},
};

use self::settings::settings;
use crate::config::{Bypass, Config, External, Forward, Ports, Snat};

/// What the host brings to it.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The gateway's interfaces, in the configuration's order.
    pub interfaces: Vec<Interface>,
    /// What `ports = "auto"` stands for: the ports the host itself does not use, ascending.
    pub auto_ports: Vec<u16>,
}

/// The contents of the maps that the configuration decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// All of them but those that are the instance's own: ABI, generation and secret.
    pub settings: Settings,
    /// SNAT entries.
    pub entries: Vec<SnatEntry>,
    /// External addresses, entry by entry; 0.0.0.0 is that of the egress interface.
    pub pool: Vec<Addr>,
    /// All addresses that packets are translated to or forwarded from, and the host's own on the gateway's
    /// interfaces: no client's packet may claim them, and no packet that has them is a client's. With each
    /// the port sets of the entries that translate to it: bit `i` is `port_sets[i]`.
    pub externals: BTreeMap<Addr, u32>,
    /// Client prefixes with the index of their entry.
    pub sources: Vec<(Prefix, u32)>,
    /// Prefixes that are not translated.
    pub bypass: Vec<Prefix>,
    /// External ports of each distinct `ports` setting, without those that are forwarded.
    pub port_sets: Vec<Vec<u16>>,
    /// The elements of map `MAPPINGS` that forwards are.
    pub forwards: HashMap<MappingKey, Mapping>,
}

/// Why a valid configuration can't be put into the maps.
#[derive(Debug, thiserror::Error)]
pub enum DesiredError {
    /// More distinct `ports` than the datapath has room for.
    #[error(
        "{path}:{line}: snat.ports: more than {MAX_PORT_SETS} different settings; use the same ports in several entries"
    )]
    TooManyPortSets {
        /// The file.
        path: String,
        /// Where the entry begins.
        line: usize,
    },
    /// Forwards take every port of an entry.
    #[error(
        "{path}:{line}: snat.ports: every port is the external port of a [[forward]]; list more ports"
    )]
    AllForwarded {
        /// The file.
        path: String,
        /// Where the entry begins.
        line: usize,
    },
    /// A port that is an endpoint's own in one entry would be shared by another.
    #[error(
        "{path}:{line}: snat.mapping: this entry and the one at line {other} hand out the same ports of the same address, and only one of the two is endpoint-independent: its clients would lose their ports to the other's; give them different ports or addresses, or the same mapping"
    )]
    MixedMapping {
        /// The file.
        path: String,
        /// Where the later entry begins.
        line: usize,
        /// Where the earlier one does.
        other: usize,
    },
    /// The host uses every port that `auto` could hand out.
    #[error(
        "{path}:{line}: snat.ports: \"auto\" leaves no port: the host's own range (net.ipv4.ip_local_port_range) and sockets take them all; narrow that range or set `ports`"
    )]
    NoPorts {
        /// The file.
        path: String,
        /// Where the entry begins.
        line: usize,
    },
}

/// Works it out.
pub fn desired(config: &Config, host: &Host) -> Result<Desired, DesiredError> {
    let mut desired = Desired {
        settings: settings(config),
        entries: Vec::new(),
        pool: Vec::new(),
        externals: own_addresses(host).map(|addr| (addr, 0)).collect(),
        sources: Vec::new(),
        bypass: config.bypass.iter().flat_map(bypass_prefixes).collect(),
        port_sets: Vec::new(),
        forwards: forwards(&config.forward),
    };
    for forward in &config.forward {
        let addr = forward.external.ip().octets();
        desired.externals.entry(addr).or_default();
    }
    for (index, snat) in config.snat.iter().enumerate() {
        let port_set = desired.port_set(config, snat, host)?;
        let pool_first = desired.pool.len() as u16;
        for external in &snat.external {
            match external {
                External::Auto => {
                    desired.pool.push([0; 4]);
                    for addr in own_addresses(host) {
                        desired.serve(addr, port_set);
                    }
                }
                External::Addr(addr) => {
                    desired.pool.push(addr.octets());
                    desired.serve(addr.octets(), port_set);
                }
            }
        }
        let pool_len = desired.pool.len() as u16 - pool_first;
        desired.entries.push(SnatEntry {
            pool_first,
            pool_len,
            port_set,
            mapping: snat.mapping as u8,
            filtering: snat.filtering as u8,
            zero: [0; 2],
        });
        desired.sources.extend(
            snat.source
                .iter()
                .map(|net| (prefix(net.network(), net.prefix_len()), index as u32)),
        );
    }
    desired.refuse_mixed_mapping(config, host)?;
    Ok(desired)
}

impl Desired {
    /// Refuses entries that share ports of an address, of which one promises not to.
    fn refuse_mixed_mapping(&self, config: &Config, host: &Host) -> Result<(), DesiredError> {
        let is_strict = |snat: &Snat| snat.mapping == crate::config::Mapping::EndpointIndependent;
        let ports = |entry: &SnatEntry| self.port_sets.get(entry.port_set as usize);
        let entries: Vec<_> = config.snat.iter().zip(&self.entries).collect();
        for (index, (later, entry)) in entries.iter().enumerate() {
            for (earlier, other) in &entries[..index] {
                let shared = || {
                    let (Some(a), Some(b)) = (ports(entry), ports(other)) else {
                        return false;
                    };
                    let b: BTreeSet<_> = b.iter().collect();
                    a.iter().any(|port| b.contains(port))
                };
                let theirs = addresses(earlier, host);
                if is_strict(later) != is_strict(earlier)
                    && addresses(later, host)
                        .iter()
                        .any(|addr| theirs.contains(addr))
                    && shared()
                {
                    return Err(DesiredError::MixedMapping {
                        path: config.path.display().to_string(),
                        line: later.line,
                        other: earlier.line,
                    });
                }
            }
        }
        Ok(())
    }

    /// Notes that an entry with this port set translates to the address.
    fn serve(&mut self, addr: Addr, port_set: u32) {
        *self.externals.entry(addr).or_default() |= 1 << port_set;
    }

    /// Index of the entry's ports among the sets.
    fn port_set(&mut self, config: &Config, snat: &Snat, host: &Host) -> Result<u32, DesiredError> {
        let path = || config.path.display().to_string();
        let mut ports: Vec<u16> = match &snat.ports {
            Ports::Auto => host.auto_ports.clone(),
            Ports::Ranges(ranges) => ranges.iter().cloned().flatten().collect(),
        };
        if ports.is_empty() {
            return Err(DesiredError::NoPorts {
                path: path(),
                line: snat.line,
            });
        }
        let forwarded: BTreeSet<u16> = config
            .forward
            .iter()
            .map(|forward| forward.external.port())
            .collect();
        ports.retain(|port| !forwarded.contains(port));
        if ports.is_empty() {
            return Err(DesiredError::AllForwarded {
                path: path(),
                line: snat.line,
            });
        }
        let known = self.port_sets.iter().position(|set| *set == ports);
        let index = known.unwrap_or_else(|| {
            self.port_sets.push(ports);
            self.port_sets.len() - 1
        });
        if index >= MAX_PORT_SETS as usize {
            return Err(DesiredError::TooManyPortSets {
                path: path(),
                line: snat.line,
            });
        }
        Ok(index as u32)
    }
}

/// What an entry translates to.
pub(super) fn addresses(snat: &Snat, host: &Host) -> BTreeSet<Addr> {
    let external = snat.external.iter();
    external
        .flat_map(|external| match external {
            External::Auto => own_addresses(host).collect(),
            External::Addr(addr) => vec![addr.octets()],
        })
        .collect()
}

fn own_addresses(host: &Host) -> impl Iterator<Item = Addr> + '_ {
    let own = host.interfaces.iter().map(|interface| interface.addr);
    own.filter(|addr| *addr != [0; 4])
}

/// Both elements of each forward. Of several that lead to one endpoint, the first is what it goes out by.
fn forwards(forwards: &[Forward]) -> HashMap<MappingKey, Mapping> {
    let mut elements = HashMap::new();
    for forward in forwards {
        let Forward {
            protocol,
            external,
            internal,
            line: _,
        } = forward;
        for (kind, from, to) in [
            (MappingKind::Outer, external, internal),
            (MappingKind::Inner, internal, external),
        ] {
            let key = MappingKey {
                addr: from.ip().octets(),
                peer: [0; 4],
                port: from.port(),
                protocol: *protocol,
                kind,
            };
            elements.entry(key).or_insert(Mapping {
                held: 0,
                addr: to.ip().octets(),
                port: to.port(),
                filtering: Filtering::EndpointIndependent as u8,
                is_static: 1,
            });
        }
    }
    elements
}

fn bypass_prefixes(bypass: &Bypass) -> impl Iterator<Item = Prefix> + '_ {
    bypass
        .destination
        .iter()
        .map(|net| prefix(net.network(), net.prefix_len()))
}

/// As the prefix tries have it.
pub(super) fn prefix(network: Ipv4Addr, len: u8) -> Prefix {
    Prefix {
        len: u32::from(len),
        addr: network.octets(),
    }
}
