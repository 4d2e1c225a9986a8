//! What the maps should hold, worked out from the configuration and the host; no kernel involved.

use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};

use snat_common::{
    Addr, Interface, Prefix, SnatEntry, State,
    flow::TIMED_STATES,
    settings::{MAX_PORT_SETS, TICK_SHIFT},
};

use crate::config::{Bypass, Config, External, Ports, Snat, Timeouts};

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
    /// Idle timeout of each state, in ticks.
    pub timeouts: [u32; TIMED_STATES],
    /// SNAT entries.
    pub entries: Vec<SnatEntry>,
    /// External addresses, entry by entry; 0.0.0.0 is that of the egress interface.
    pub pool: Vec<Addr>,
    /// All addresses that packets are translated to, and the host's own on the gateway's interfaces:
    /// no client's packet may claim them, and no packet that has them is a client's.
    pub externals: BTreeSet<Addr>,
    /// Client prefixes with the index of their entry.
    pub sources: Vec<(Prefix, u32)>,
    /// Prefixes that are not translated.
    pub bypass: Vec<Prefix>,
    /// External ports of each distinct `ports` setting.
    pub port_sets: Vec<Vec<u16>>,
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
        timeouts: timeouts(&config.timeouts),
        entries: Vec::new(),
        pool: Vec::new(),
        externals: own_addresses(host),
        sources: Vec::new(),
        bypass: config.bypass.iter().flat_map(bypass_prefixes).collect(),
        port_sets: Vec::new(),
    };
    for (index, snat) in config.snat.iter().enumerate() {
        let port_set = desired.port_set(config, snat, host)?;
        let pool_first = desired.pool.len() as u16;
        for external in &snat.external {
            match external {
                External::Auto => desired.pool.push([0; 4]),
                External::Addr(addr) => desired.pool.push(addr.octets()),
            }
        }
        let listed = snat.external.iter().filter_map(|external| match external {
            External::Auto => None,
            External::Addr(addr) => Some(addr.octets()),
        });
        desired.externals.extend(listed);
        let pool_len = desired.pool.len() as u16 - pool_first;
        desired.entries.push(SnatEntry {
            pool_first,
            pool_len,
            port_set,
        });
        desired.sources.extend(
            snat.source
                .iter()
                .map(|net| (prefix(net.network(), net.prefix_len()), index as u32)),
        );
    }
    Ok(desired)
}

impl Desired {
    /// Index of the entry's ports among the sets.
    fn port_set(&mut self, config: &Config, snat: &Snat, host: &Host) -> Result<u32, DesiredError> {
        let path = || config.path.display().to_string();
        let ports: Vec<u16> = match &snat.ports {
            Ports::Auto => host.auto_ports.clone(),
            Ports::Ranges(ranges) => ranges.iter().cloned().flatten().collect(),
        };
        if ports.is_empty() {
            return Err(DesiredError::NoPorts {
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

fn own_addresses(host: &Host) -> BTreeSet<Addr> {
    let own = host.interfaces.iter().map(|interface| interface.addr);
    own.filter(|addr| *addr != [0; 4]).collect()
}

/// A duration in the datapath's ticks, rounded up.
fn ticks(duration: Duration) -> u32 {
    let ticks = duration.as_nanos().div_ceil(1 << TICK_SHIFT);
    ticks.min(u128::from(u32::MAX / 2)) as u32
}

fn timeouts(timeouts: &Timeouts) -> [u32; TIMED_STATES] {
    let Timeouts {
        tcp_opening,
        tcp_established,
        tcp_closing,
        udp,
        icmp,
    } = *timeouts;
    let mut ticks_of = [0; TIMED_STATES];
    for (state, duration) in [
        (State::IcmpEcho, icmp),
        (State::Udp, udp),
        (State::TcpSynSent, tcp_opening),
        (State::TcpEstablished, tcp_established),
        // One side may go on sending: half-closed is as good as open (RFC 5382 REQ-5).
        (State::TcpFinOut, tcp_established),
        (State::TcpFinIn, tcp_established),
        (State::TcpClosing, tcp_closing),
        (State::TcpReset, tcp_closing),
    ] {
        ticks_of[state as usize] = ticks(duration);
    }
    ticks_of
}

fn bypass_prefixes(bypass: &Bypass) -> impl Iterator<Item = Prefix> + '_ {
    bypass
        .destination
        .iter()
        .map(|net| prefix(net.network(), net.prefix_len()))
}

fn prefix(network: Ipv4Addr, len: u8) -> Prefix {
    Prefix {
        len: u32::from(len),
        addr: network.octets(),
    }
}
