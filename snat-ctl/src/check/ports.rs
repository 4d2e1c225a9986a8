//! Ports that the gateway may hand out without getting in the way of the host's own connections.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, ops::RangeInclusive};

use anyhow::Context as _;

use super::{
    Finding, Severity,
    sockets::{self, Socket},
};
use crate::config::{Config, External, Ports, Snat};

/// Ports below are for services: never handed out unless the configuration asks for it.
const FIRST: u16 = 1024;
/// With fewer ports per destination the gateway works, but not for many clients.
const FEW: usize = 4096;

/// What `ports = "auto"` stands for on this host now, ascending: 1024 to 65535 without the range that
/// the kernel takes ports of outgoing connections from, reserved ports, ports of open sockets, and that of `[metrics]`.
///
/// # Errors
///
/// When the kernel's tables cannot be read, or no port is left.
pub fn auto_ports(config: &Config) -> anyhow::Result<Vec<u16>> {
    let ports = HostPorts::read(config)?.left();
    anyhow::ensure!(
        !ports.is_empty(),
        "ports = \"auto\": this host uses all ports from {FIRST} itself; make room with \
         sysctl -w net.ipv4.ip_local_port_range=\"49152 60999\", or set ports to a range"
    );
    Ok(ports)
}

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    match HostPorts::read(config) {
        Ok(host) => config
            .snat
            .iter()
            .map(|entry| judge(config, entry, &host))
            .collect(),
        Err(error) => vec![Finding::warn(
            "ports",
            format!("{error:#}"),
            "it is not known which ports the host itself uses",
            "mount /proc, and run outside of sandboxes that hide it",
        )],
    }
}

/// Ports that the host itself uses or may use.
struct HostPorts {
    local_range: RangeInclusive<u16>,
    reserved: Vec<RangeInclusive<u16>>,
    sockets: Vec<Socket>,
}

impl HostPorts {
    fn read(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            local_range: sockets::local_range().context("cannot read ip_local_port_range")?,
            reserved: sockets::reserved().context("cannot read ip_local_reserved_ports")?,
            sockets: sockets::with_own(config).context("cannot read the host's open sockets")?,
        })
    }

    fn left(&self) -> Vec<u16> {
        let open: BTreeSet<u16> = self.sockets.iter().map(|socket| socket.port).collect();
        let free = |port: &u16| {
            !self.local_range.contains(port) && !self.is_reserved(*port) && !open.contains(port)
        };
        (FIRST..=u16::MAX).filter(free).collect()
    }

    fn is_reserved(&self, port: u16) -> bool {
        self.reserved.iter().any(|range| range.contains(&port))
    }
}

fn judge(config: &Config, entry: &Snat, host: &HostPorts) -> Finding {
    let finding = match &entry.ports {
        Ports::Auto => auto(&host.left()),
        Ports::Ranges(ranges) => explicit(config, entry, ranges, host),
    };
    finding.about(&entry.name)
}

fn auto(left: &[u16]) -> Finding {
    let id = "ports.auto";
    let what = format!(
        "ports = \"auto\" leaves {} ports per destination: {}",
        left.len(),
        show(left)
    );
    let fix = "sysctl -w net.ipv4.ip_local_port_range=\"49152 60999\" makes room, or set ports to a \
               range";
    match left.len() {
        0 => Finding::fatal(id, what, "there is no port to translate to", fix),
        1..FEW => Finding::warn(
            id,
            what,
            "busy destinations run out of ports with few clients",
            fix,
        ),
        _ => Finding::ok(id, what),
    }
}

/// Ports that the host itself takes are refused: its connections and the clients' would get each other's
/// packets. What a connection of the host has by chance, for a while, is only worth a word.
fn explicit(
    config: &Config,
    entry: &Snat,
    ranges: &[RangeInclusive<u16>],
    host: &HostPorts,
) -> Finding {
    let id = "ports.overlap";
    let wanted = || ranges.iter().cloned().flatten();
    // The kernel does not give reserved ports to sockets that ask for any.
    let is_ephemeral = |port: &u16| host.local_range.contains(port) && !host.is_reserved(*port);
    let ephemeral: Vec<u16> = wanted().filter(is_ephemeral).collect();
    let taken = |waits: bool| -> Vec<u16> {
        wanted()
            .filter(|port| !is_ephemeral(port) && is_taken(*port, waits, entry, &host.sockets))
            .collect()
    };
    let (services, connections) = (taken(true), taken(false));
    let mut overlaps = Vec::new();
    for (ports, of_whom) in [
        (
            &ephemeral,
            "the host's outgoing connections take theirs from",
        ),
        (&services, "the host has services on"),
        (&connections, "the host has connections on"),
    ] {
        if !ports.is_empty() {
            overlaps.push(format!("{of_whom} {}", show(ports)));
        }
    }
    if overlaps.is_empty() {
        return Finding::ok(
            id,
            format!("{} ports, none of them the host's own", wanted().count()),
        );
    }
    let severity = if ephemeral.is_empty() && services.is_empty() {
        Severity::Warn
    } else {
        Severity::Fatal
    };
    Finding::new(
        severity,
        id,
        format!(
            "{}:{}: snat {:?}: ports overlap the host's own: {}",
            config.path.display(),
            entry.line,
            entry.name,
            overlaps.join("; ")
        ),
        "a connection of the host and a client's flow to the same server may want the same port",
        if ephemeral.is_empty() {
            "ports = \"auto\" keeps clear of them; or leave them out"
        } else {
            "ports = \"auto\" keeps clear of them; or narrow net.ipv4.ip_local_port_range, or put the \
             range into net.ipv4.ip_local_reserved_ports"
        },
    )
}

/// Whether a socket has the port at one of the entry's external addresses.
fn is_taken(port: u16, waits: bool, entry: &Snat, sockets: &[Socket]) -> bool {
    let mut sockets = sockets
        .iter()
        .filter(|socket| socket.port == port && socket.waits == waits);
    sockets.any(|socket| {
        entry.external.iter().any(|external| match external {
            External::Addr(addr) => socket.receives(*addr),
            External::Auto => {
                socket.is_any() || socket.addr.is_some_and(|addr| !addr.is_loopback())
            }
        })
    })
}

/// Ascending ports as ranges; of many the first few.
fn show(ports: &[u16]) -> String {
    const MOST: usize = 6;
    let runs: Vec<String> = ports
        .chunk_by(|left, right| *right - *left == 1)
        .map(|run| match run {
            [only] => only.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        })
        .collect();
    match runs.len() {
        0 => "none".to_owned(),
        1..=MOST => runs.join(", "),
        count => format!(
            "{} and {} more ranges",
            runs[..MOST].join(", "),
            count - MOST
        ),
    }
}
