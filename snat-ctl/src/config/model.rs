//! What the rest of the program works with: a configuration that has passed every check.

use std::{net::Ipv4Addr, ops::RangeInclusive, path::PathBuf, time::Duration};

use ipnet::Ipv4Net;

/// A whole, valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// The instance and where it attaches.
    pub gateway: Gateway,
    /// SNAT entries, at least one, in the file's order.
    pub snat: Vec<Snat>,
    /// What is routed and never translated.
    pub bypass: Vec<Bypass>,
    /// Idle timeouts.
    pub timeouts: Timeouts,
    /// What is accepted but deserves a word, each with file, line and key.
    pub warnings: Vec<String>,
}

/// Section `[gateway]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Instance name.
    pub name: String,
    /// Interfaces to attach to: 1 to 16, distinct.
    pub interfaces: Vec<String>,
    /// Line of the file that lists the interfaces.
    pub interfaces_line: usize,
    /// Which hook to use.
    pub datapath: Datapath,
    /// Most flows at a time.
    pub max_flows: u32,
}

/// Value of `gateway.datapath`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datapath {
    /// The fastest that works.
    Auto,
    /// XDP in the driver.
    Xdp,
    /// XDP in the stack.
    XdpGeneric,
    /// TC: TCX, or clsact on older kernels.
    Tc,
}

/// One `[[snat]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snat {
    /// Its name, unique; `snat-N` in the file's order unless given.
    pub name: String,
    /// Clients' prefixes, host bits zero.
    pub source: Vec<Ipv4Net>,
    /// Addresses to translate to: `Auto` alone, or distinct addresses.
    pub external: Vec<External>,
    /// Ports to translate to.
    pub ports: Ports,
    /// When two flows of one client port share an external port.
    pub mapping: Mapping,
    /// Who may send to a mapped port.
    pub filtering: Filtering,
    /// Line of the file where the entry begins.
    pub line: usize,
}

/// One of `snat.external`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum External {
    /// Primary address of the interface that the packet leaves by.
    Auto,
    /// This address.
    Addr(Ipv4Addr),
}

/// Value of `snat.ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// What the host itself does not use.
    Auto,
    /// These, ascending and disjoint.
    Ranges(Vec<RangeInclusive<u16>>),
}

/// Value of `snat.mapping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// The gateway's choice.
    Auto,
    /// An external port per destination.
    AddressAndPortDependent,
}

/// Value of `snat.filtering`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// Only the destination of the flow itself.
    AddressAndPortDependent,
}

/// One `[[bypass]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// Destinations, host bits zero.
    pub destination: Vec<Ipv4Net>,
    /// Line of the file where the entry begins.
    pub line: usize,
}

/// Section `[timeouts]`: how long a flow may be idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP of which one side only has spoken.
    pub tcp_opening: Duration,
    /// TCP that both sides have spoken on.
    pub tcp_established: Duration,
    /// TCP after FIN or RST.
    pub tcp_closing: Duration,
    /// UDP.
    pub udp: Duration,
    /// ICMP echo.
    pub icmp: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_opening: Duration::from_secs(4 * 60),
            tcp_established: Duration::from_secs((2 * 60 + 4) * 60),
            tcp_closing: Duration::from_secs(4 * 60),
            udp: Duration::from_secs(5 * 60),
            icmp: Duration::from_secs(60),
        }
    }
}
