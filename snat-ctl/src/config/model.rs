//! What the rest of the program works with: a configuration that has passed every check.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use ipnet::Ipv4Net;
pub use snat_common::settings::{Filtering, Mapping};
use snat_common::{
    Protocol,
    settings::{protocols, resets},
};

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
    /// Ports that lead to a client from outside.
    pub forward: Vec<Forward>,
    /// Idle timeouts.
    pub timeouts: Timeouts,
    /// What one client, and the gateway itself, may take.
    pub limits: Limits,
    /// What the gateway itself says.
    pub answers: Answers,
    /// What is translated besides TCP, UDP and ICMP: a set of [`protocols`].
    pub protocols: u8,
    /// Where `run` serves metrics over HTTP; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Who had which external port; `None`: that is not logged.
    pub log: Option<Log>,
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
    /// What becomes of the MSS in a SYN.
    pub mss_clamp: MssClamp,
}

/// Value of `gateway.mss_clamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MssClamp {
    /// It stays.
    Off,
    /// Lowered to what the path takes.
    Auto,
    /// Lowered to this: 536 or more.
    To(u16),
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

/// One `[[bypass]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// Destinations, host bits zero.
    pub destination: Vec<Ipv4Net>,
    /// Line of the file where the entry begins.
    pub line: usize,
}

/// One `[[forward]]`: what comes for an external endpoint goes to an internal one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where it comes to.
    pub external: SocketAddrV4,
    /// Where it goes.
    pub internal: SocketAddrV4,
    /// Line of the file where it begins.
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
    /// Any other protocol.
    pub other: Duration,
    /// How long a port without flows rests before another client may have it.
    pub port_rest: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_opening: Duration::from_secs(4 * 60),
            tcp_established: Duration::from_secs((2 * 60 + 4) * 60),
            tcp_closing: Duration::from_secs(4 * 60),
            udp: Duration::from_secs(5 * 60),
            icmp: Duration::from_secs(60),
            other: Duration::from_secs(10 * 60),
            port_rest: Duration::from_secs(2 * 60),
        }
    }
}

/// Section `[limits]`; 0 is no limit unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most flows of a client at a time.
    pub flows_per_source: u32,
    /// Most flows that a client may open in a second.
    pub new_flows_per_source: u32,
    /// Most datagrams in fragments that a client may begin in a second.
    pub fragments_per_source: u32,
    /// Most ICMP errors and RSTs that the gateway itself sends in a second; 0 for none at all.
    pub answers_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows_per_source: 0,
            new_flows_per_source: 0,
            fragments_per_source: 256,
            answers_per_second: 1000,
        }
    }
}

/// Section `[answers]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// What a client hears that is refused a flow.
    pub refused: Refusal,
    /// Who gets an RST for a segment without a flow: a set of [`resets`].
    pub reset: u8,
}

/// Value of `answers.refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// ICMP "communication administratively prohibited" (RFC 5508 REQ-8).
    AdminProhibited,
    /// ICMP "host unreachable" (RFC 6888 REQ-11).
    HostUnreachable,
    /// Nothing.
    Silence,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            refused: Refusal::AdminProhibited,
            reset: resets::CLIENTS,
        }
    }
}

/// Section `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where its lines go.
    pub to: LogTo,
    /// Whether every flow is logged, with its destination (RFC 6888 §4 advises against it).
    pub destinations: bool,
}

/// Value of `log.mappings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// systemd's journal.
    Journal,
    /// This file, by its absolute path.
    File(PathBuf),
}

/// What section `[protocols]` is if left out.
pub(super) const DEFAULT_PROTOCOLS: u8 =
    protocols::UDP_LITE | protocols::SCTP | protocols::GRE | protocols::ESP;
