//! Forwards: their external addresses must come here, and must not take the host's own services away.

use std::ops::RangeInclusive;

use snat_common::Protocol;

use super::{
    Finding, Network,
    sockets::{self, Socket},
};
use crate::config::{Config, External, Forward};

pub(super) fn findings(config: &Config, network: &Network) -> Vec<Finding> {
    let missing = config
        .forward
        .iter()
        .filter_map(|forward| missing(config, forward, network));
    let mut findings: Vec<_> = missing.collect();
    // Where they cannot be read, `ports` says so.
    if let (Ok(sockets), Ok(local_range)) = (sockets::with_own(config), sockets::local_range()) {
        let reserved = sockets::reserved().unwrap_or_default();
        let ephemeral = |port| {
            local_range.contains(&port)
                && !reserved
                    .iter()
                    .any(|range: &RangeInclusive<u16>| range.contains(&port))
        };
        let forwards = config.forward.iter();
        findings.extend(forwards.filter_map(|forward| {
            shadowed(config, forward, &sockets)
                .or_else(|| ephemeral(forward.external.port()).then(|| clash(config, forward)))
        }));
    }
    findings
}

fn missing(config: &Config, forward: &Forward, network: &Network) -> Option<Finding> {
    let external = *forward.external.ip();
    let ours = network
        .addresses
        .iter()
        .any(|address| address.addr == external);
    let listed = config
        .snat
        .iter()
        .any(|entry| entry.external.contains(&External::Addr(external)));
    if ours || listed {
        return None;
    }
    Some(about(
        forward,
        Finding::fatal(
            "forward.address",
            format!(
                "{}: external address {external} is on no interface of this host, and no [[snat]] lists it",
                place(config, forward)
            ),
            "what is sent to it does not come here",
            format!(
                "if it is routed to this host: ip addr add {external}/32 dev lo; in a cloud take the \
                 private address that the EIP belongs to"
            ),
        ),
    ))
}

/// The forward would get what a service of this host waits for: ssh first of all.
fn shadowed(config: &Config, forward: &Forward, sockets: &[Socket]) -> Option<Finding> {
    let Forward {
        protocol, external, ..
    } = forward;
    let taken = |socket: &&Socket| {
        socket.protocol == *protocol
            && socket.waits
            && socket.port == external.port()
            && socket.receives(*external.ip())
    };
    sockets.iter().find(taken)?;
    let port = external.port();
    let name = name(*protocol);
    Some(about(
        forward,
        Finding::fatal(
            "forward.shadow",
            format!(
                "{}: a service of this host waits on {name} port {port}",
                place(config, forward)
            ),
            "the forward would take its traffic away, and ssh with it if that is ssh",
            format!(
                "take another external port; or stop that service (ss -H{}lnp sport = :{port}), or \
                 bind it to another address",
                &name[..1]
            ),
        ),
    ))
}

fn clash(config: &Config, forward: &Forward) -> Finding {
    let port = forward.external.port();
    about(
        forward,
        Finding::warn(
            "forward.local_range",
            format!(
                "{}: the host's outgoing connections may take port {port}",
                place(config, forward)
            ),
            "the answers to such a connection would go to the forward's internal address",
            format!("sysctl -w net.ipv4.ip_local_reserved_ports={port} (beside those that it has)"),
        ),
    )
}

fn place(config: &Config, forward: &Forward) -> String {
    let Forward {
        protocol,
        external,
        line,
        ..
    } = forward;
    let file = config.path.display();
    format!("{file}:{line}: forward {} {external}", name(*protocol))
}

fn about(forward: &Forward, finding: Finding) -> Finding {
    finding.about(&forward.external.to_string())
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        _ => "tcp",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Severity, Config, Network, Protocol, Socket, clash, missing, shadowed};
    use crate::netlink::Address;

    fn config(external: &str) -> Config {
        let text = format!(
            "[gateway]\ninterfaces=['eth0']\n\
             [[snat]]\nsource=['10.0.0.0/8']\nexternal=['203.0.113.11']\n\
             [[forward]]\nprotocol='tcp'\nexternal='{external}'\ninternal='10.0.0.5:22'"
        );
        Config::parse(&text, Path::new("t.toml")).unwrap()
    }

    #[test]
    fn an_external_address_of_a_forward_is_this_hosts_or_an_entrys() {
        let network = Network {
            links: Vec::new(),
            addresses: vec![Address {
                link: 2,
                addr: "203.0.113.10".parse().unwrap(),
                prefix_len: 24,
                secondary: false,
            }],
            default_route: None,
        };
        for (external, fine) in [
            ("203.0.113.10:22", true),
            ("203.0.113.11:22", true),
            ("203.0.113.12:22", false),
        ] {
            let config = config(external);
            let finding = missing(&config, &config.forward[0], &network);
            assert_eq!(finding.is_none(), fine, "{external}");
            if let Some(finding) = finding {
                assert_eq!(finding.severity, Severity::Fatal);
                assert_eq!(
                    finding.what,
                    "t.toml:6: forward tcp 203.0.113.12:22: external address 203.0.113.12 is on no \
                     interface of this host, and no [[snat]] lists it"
                );
            }
        }
    }

    #[test]
    fn a_forward_never_takes_the_hosts_own_service_away() {
        let config = config("203.0.113.10:22");
        let socket = |protocol, addr: Option<&str>, port, waits| Socket {
            protocol,
            addr: addr.map(|addr| addr.parse().unwrap()),
            port,
            waits,
        };
        for (socket, fatal) in [
            (socket(Protocol::Tcp, Some("0.0.0.0"), 22, true), true),
            (socket(Protocol::Tcp, None, 22, true), true),
            (socket(Protocol::Tcp, Some("203.0.113.10"), 22, true), true),
            (socket(Protocol::Tcp, Some("203.0.113.11"), 22, true), false),
            (socket(Protocol::Tcp, Some("127.0.0.1"), 22, true), false),
            (socket(Protocol::Tcp, Some("0.0.0.0"), 2222, true), false),
            (socket(Protocol::Udp, Some("0.0.0.0"), 22, true), false),
            (socket(Protocol::Tcp, Some("0.0.0.0"), 22, false), false),
        ] {
            let finding = shadowed(&config, &config.forward[0], &[socket]);
            assert_eq!(finding.is_some(), fatal, "{socket:?}");
            if let Some(finding) = finding {
                assert_eq!(finding.severity, Severity::Fatal);
                assert!(finding.fix.unwrap().contains("(ss -Htlnp sport = :22)"));
            }
        }
    }

    #[test]
    fn a_port_that_the_host_may_take_is_warned_about_by_number() {
        let config = config("203.0.113.10:40000");
        let finding = clash(&config, &config.forward[0]);
        assert_eq!(finding.severity, Severity::Warn);
        assert!(finding.what.ends_with("may take port 40000"), "{finding}");
    }
}
