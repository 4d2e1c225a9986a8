//! Ports that the gateway may hand out without getting in the way of the host's own connections.

use std::{collections::BTreeSet, net::Ipv4Addr, ops::RangeInclusive};

use anyhow::Context as _;

use super::{
    Finding,
    sockets::{self, Socket},
};
use crate::config::{Config, External, Ports, Snat};

/// Ports below are for services: never handed out unless the configuration asks for it.
const FIRST: u16 = 1024;
/// With fewer ports per destination the gateway works, but not for many clients.
const FEW: usize = 4096;

/// What `ports = "auto"` stands for on this host now, ascending: 1024 to 65535 without the range that
/// the kernel takes ports of outgoing connections from, reserved ports, and ports of open sockets.
///
/// # Errors
///
/// When the kernel's tables cannot be read, or no port is left.
pub fn auto_ports() -> anyhow::Result<Vec<u16>> {
    let ports = HostPorts::read()?.left();
    anyhow::ensure!(
        !ports.is_empty(),
        "ports = \"auto\": this host uses all ports from {FIRST} itself; make room with \
         sysctl -w net.ipv4.ip_local_port_range=\"49152 60999\", or set ports to a range"
    );
    Ok(ports)
}

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    match HostPorts::read() {
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
    fn read() -> anyhow::Result<Self> {
        Ok(Self {
            local_range: sockets::local_range().context("cannot read ip_local_port_range")?,
            reserved: sockets::reserved().context("cannot read ip_local_reserved_ports")?,
            sockets: sockets::sockets().context("cannot read the host's open sockets")?,
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

fn explicit(
    config: &Config,
    entry: &Snat,
    ranges: &[RangeInclusive<u16>],
    host: &HostPorts,
) -> Finding {
    let id = "ports.overlap";
    let wanted = || ranges.iter().cloned().flatten();
    // The kernel does not give reserved ports to sockets that ask for any.
    let ephemeral: Vec<u16> = wanted()
        .filter(|port| host.local_range.contains(port) && !host.is_reserved(*port))
        .collect();
    let open: BTreeSet<u16> = wanted()
        .filter(|port| !ephemeral.contains(port) && is_open(*port, entry, &host.sockets))
        .collect();
    let open: Vec<u16> = open.into_iter().collect();
    let mut overlaps = Vec::new();
    if !ephemeral.is_empty() {
        overlaps.push(format!(
            "the host's outgoing connections take theirs from {}",
            show(&ephemeral)
        ));
    }
    if !open.is_empty() {
        overlaps.push(format!("the host has sockets on {}", show(&open)));
    }
    if overlaps.is_empty() {
        return Finding::ok(
            id,
            format!("{} ports, none of them the host's own", wanted().count()),
        );
    }
    Finding::warn(
        id,
        format!(
            "{}:{}: snat {:?}: ports overlap the host's own: {}",
            config.path.display(),
            entry.line,
            entry.name,
            overlaps.join("; ")
        ),
        "a connection of the host and a client's flow to the same server may want the same port",
        "ports = \"auto\" keeps clear of them; or narrow net.ipv4.ip_local_port_range, or put the \
         range into net.ipv4.ip_local_reserved_ports",
    )
}

/// Whether a socket could receive what comes for one of the entry's external addresses.
fn is_open(port: u16, entry: &Snat, sockets: &[Socket]) -> bool {
    sockets
        .iter()
        .filter(|socket| socket.port == port)
        .any(|socket| match socket.addr {
            // An IPv6 socket takes IPv4 as well unless it says otherwise.
            None | Some(Ipv4Addr::UNSPECIFIED) => true,
            Some(addr) if addr.is_loopback() => false,
            Some(addr) => {
                entry.external.contains(&External::Auto)
                    || entry.external.contains(&External::Addr(addr))
            }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Severity, Config, HostPorts, Ipv4Addr, Socket, auto, judge, show};

    fn host(sockets: &[(Option<Ipv4Addr>, u16)]) -> HostPorts {
        HostPorts {
            local_range: 32768..=60999,
            reserved: vec![40000..=40009, 2000..=2000],
            sockets: sockets
                .iter()
                .map(|&(addr, port)| Socket { addr, port })
                .collect(),
        }
    }

    fn config(ports: &str, external: &str) -> Config {
        let text = format!(
            "[gateway]\ninterfaces=['eth0']\n[[snat]]\nsource=['10.0.0.0/8']\n\
             ports='{ports}'\nexternal=['{external}']"
        );
        Config::parse(&text, Path::new("t.toml")).unwrap()
    }

    #[test]
    fn auto_leaves_what_the_host_does_not_use() {
        let left = host(&[(None, 8080), (Some(Ipv4Addr::LOCALHOST), 65535), (None, 22)]).left();
        assert_eq!(show(&left), "1024-1999, 2001-8079, 8081-32767, 61000-65534");
        assert_eq!(left.len(), 976 + 6079 + 24687 + 4535);
    }

    #[test]
    fn too_few_ports_are_warned_about_and_none_is_fatal() {
        let ports: Vec<u16> = (10000..=14095).collect();
        assert_eq!(auto(&ports).severity, Severity::Ok);
        assert_eq!(auto(&ports[1..]).severity, Severity::Warn);
        assert_eq!(auto(&[]).severity, Severity::Fatal);
    }

    #[test]
    fn a_range_that_overlaps_the_hosts_own_ports_is_warned_about() {
        let any = Some(Ipv4Addr::UNSPECIFIED);
        let server = Some(Ipv4Addr::new(203, 0, 113, 10));
        for (ports, external, overlap) in [
            ("1024-30000", "auto", "the host has sockets on 8080"),
            ("8081-8085", "203.0.113.10", "the host has sockets on 8081"),
            ("8081-8085", "203.0.113.11", ""),
            ("8090-8099", "auto", ""),
            (
                "32000-33000",
                "auto",
                "the host's outgoing connections take theirs from 32768-33000",
            ),
            ("40000-40009", "auto", ""),
        ] {
            let config = config(ports, external);
            let host = host(&[
                (any, 8080),
                (server, 8081),
                (Some(Ipv4Addr::LOCALHOST), 8090),
            ]);
            let finding = judge(&config, &config.snat[0], &host);
            if overlap.is_empty() {
                assert_eq!(finding.severity, Severity::Ok, "{ports}: {finding}");
            } else {
                assert_eq!(finding.severity, Severity::Warn, "{ports}: {finding}");
                assert!(finding.what.contains(overlap), "{ports}: {finding}");
            }
        }
    }

    #[test]
    fn many_ranges_are_cut_short() {
        let odd: Vec<u16> = (0..10).map(|n| 1001 + 2 * n).collect();
        assert_eq!(
            show(&odd),
            "1001, 1003, 1005, 1007, 1009, 1011 and 4 more ranges"
        );
        assert_eq!(show(&[]), "none");
    }
}
