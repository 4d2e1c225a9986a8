//! The host's own services and connections keep their ports: what would take them away is refused.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::Result;
use snat_tests::{
    attempt::{Refusal, host},
    netns::Netns,
};

const FAILED: i32 = 1;
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

#[test]
fn a_forward_that_would_take_a_service_of_the_host_away_is_refused() -> Result<()> {
    let host = host("hp")?;
    let (ssh, dns) = host.enter(|| {
        let ssh = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 22))?;
        Ok((ssh, UdpSocket::bind((ADDRESS, 53))?))
    })?;
    for (protocol, port) in [("tcp", 22), ("udp", 53)] {
        let forward = forward(protocol, ADDRESS, port);
        Refusal::of(&host, host.name(), &(config(&host, "auto") + &forward))?.expect(
            FAILED,
            &[
                &format!("snat.toml:12: forward {protocol} 192.0.2.1:{port}: "),
                &format!("a service of this host waits on {protocol} port {port}"),
            ],
        )?;
    }
    drop((ssh, dns));
    Ok(())
}

#[test]
fn a_forward_of_an_address_that_does_not_come_here_is_refused() -> Result<()> {
    let host = host("hp")?;
    let elsewhere = forward("tcp", Ipv4Addr::new(192, 0, 2, 99), 443);
    Refusal::of(&host, host.name(), &(config(&host, "auto") + &elsewhere))?.expect(
        FAILED,
        &[
            "snat.toml:12: forward tcp 192.0.2.99:443: ",
            "on no interface of this host",
        ],
    )
}

#[test]
fn ports_that_are_the_hosts_own_are_refused_and_auto_is_named() -> Result<()> {
    let host = host("hp")?;
    host.sysctl("net/ipv4/ip_local_port_range", "32768 60999")?;
    let service = host.enter(|| Ok(TcpListener::bind((ADDRESS, 1500))?))?;
    for (ports, overlap) in [
        ("32000-32800", "take theirs from 32768-32800"),
        ("1024-2047", "services on 1500"),
    ] {
        Refusal::of(&host, host.name(), &config(&host, ports))?.expect(
            FAILED,
            &["snat.toml:7: ", overlap, "ports = \"auto\" keeps clear"],
        )?;
    }
    drop(service);
    Ok(())
}

fn config(host: &Netns, ports: &str) -> String {
    format!(
        r#"[gateway]
name = "{}"
interfaces = ["eth0"]
datapath = "tc"
max_flows = 64

[[snat]]
source = ["172.16.0.0/16"]
external = ["auto"]
ports = "{ports}"

"#,
        host.name()
    )
}

fn forward(protocol: &str, addr: Ipv4Addr, port: u16) -> String {
    format!(
        "[[forward]]\nprotocol = \"{protocol}\"\nexternal = \"{addr}:{port}\"\n\
         internal = \"172.16.0.5:8000\"\n"
    )
}
