//! What the host's own ports leave to the gateway.

use std::{net::Ipv4Addr, path::Path};

use snat_common::Protocol;

use super::{Config, HostPorts, Severity, Socket, auto, judge, show};

fn host(sockets: &[(Option<Ipv4Addr>, u16)]) -> HostPorts {
    HostPorts {
        local_range: 32768..=60999,
        reserved: vec![40000..=40009, 2000..=2000],
        sockets: sockets
            .iter()
            .map(|&(addr, port)| Socket {
                protocol: Protocol::Tcp,
                addr,
                port,
                waits: true,
            })
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
fn a_range_that_overlaps_the_hosts_own_ports_is_refused() {
    let any = Some(Ipv4Addr::UNSPECIFIED);
    let server = Some(Ipv4Addr::new(203, 0, 113, 10));
    for (ports, external, overlap) in [
        ("1024-30000", "auto", "the host has services on 8080"),
        ("8081-8085", "203.0.113.10", "the host has services on 8081"),
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
            assert_eq!(finding.severity, Severity::Fatal, "{ports}: {finding}");
            assert!(finding.what.contains(overlap), "{ports}: {finding}");
        }
    }
}

#[test]
fn a_connection_that_has_a_port_by_chance_keeps_no_gateway_from_starting() {
    let mut host = host(&[(Some(Ipv4Addr::new(203, 0, 113, 10)), 1500)]);
    host.sockets[0].waits = false;
    let config = config("1024-1999", "203.0.113.10");
    let finding = judge(&config, &config.snat[0], &host);
    assert_eq!(finding.severity, Severity::Warn, "{finding}");
    assert!(
        finding.what.ends_with("the host has connections on 1500"),
        "{finding}"
    );
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
