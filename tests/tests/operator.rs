//! The operator hears of clients that were refused (RFC 6888 REQ-11C), and sees what is used up.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

use anyhow::{Result, ensure};
use snat_tests::{
    gateway::{Gateway, config},
    topology::{Offloads, Shape, Topology, unique_prefix},
    wait,
};

const PORTS: u16 = 4;
/// A look at the counters is due every second.
const TOLD: Duration = Duration::from_secs(10);

#[test]
fn a_client_without_a_port_is_told_of_in_the_log_and_status_shows_the_ports() -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let name = format!("{prefix}op");
    let entry = "[\"auto\"]\nmapping = \"endpoint-independent\"\nports = \"20000-20003\"";
    let config = config(&topology, &name, "tc").replace("[\"auto\"]", entry);
    let gateway = Gateway::start_with(&topology, &name, &config)?;
    topology.clients[0].netns.enter(|| {
        for port in 0..PORTS + 3 {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 3000 + port))?;
            socket.send_to(b"x", (topology.server.addr, 9))?;
        }
        Ok(())
    })?;
    wait::until(TOLD, "the daemon tells of what was refused", || {
        let log = gateway.log();
        ensure!(
            log.contains("warning: ports_exhausted: ")
                && log.contains("List more external addresses"),
            "{log}"
        );
        Ok(())
    })?;

    let status = gateway.ctl_json(&["status"])?;
    ensure!(status["mappings"]["used"] == PORTS, "{status:#}");
    ensure!(status["clients"]["used"] == 1, "{status:#}");
    let ports = &status["ports"][0];
    ensure!(
        ports["external"] == topology.translated().to_string()
            && ports["protocol"] == "udp"
            && ports["used"] == PORTS
            && ports["resting"] == 0
            && ports["max"] == PORTS,
        "{ports:#}"
    );
    let screen = gateway.ctl(&["status"])?;
    ensure!(
        screen.contains(" udp: 4 of 4 (100.0 %), 0 of them resting"),
        "{screen}"
    );
    Ok(())
}
