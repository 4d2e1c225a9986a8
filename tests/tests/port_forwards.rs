//! Forwards lead to their clients, and follow the configuration without breaking what they have begun.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    time::Duration,
};

use anyhow::{Result, ensure};
use snat_tests::{
    gateway::{Gateway, config},
    session::{LineServer, Session},
    topology::{Offloads, Shape, Topology, unique_prefix},
    udp::{self, UdpEcho},
};

const PATIENCE: Duration = Duration::from_secs(5);
/// What the clients serve, and what stands for it outside.
const LINES: u16 = 8000;
const LINES_OUTSIDE: u16 = 8443;
/// Below 1024, where clients' own ports never are.
const LINES_AS_WELL: u16 = 702;
const ECHO: u16 = 5300;
const ECHO_OUTSIDE: u16 = 700;
/// A client's port that is known outside by another number.
const CALLS_FROM: u16 = 6001;
const SEEN_AS: u16 = 6000;

#[test]
fn forwards_lead_to_clients_and_follow_the_configuration_tc() -> Result<()> {
    forwards_follow("tc", Shape::Routed)
}

#[test]
fn forwards_lead_to_clients_and_follow_the_configuration_xdp() -> Result<()> {
    forwards_follow("xdp", Shape::OneArm)
}

fn forwards_follow(datapath: &str, shape: Shape) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let Topology {
        clients: [first, second],
        server,
        external,
        ..
    } = &topology;
    let name = format!("{prefix}fwd");
    let plain = config(&topology, &name, datapath);
    let forward = |protocol, port, client, to| forward(&topology, protocol, port, client, to);
    let before = plain.clone()
        + &forward("tcp", LINES_OUTSIDE, first.addr, LINES)
        + &forward("tcp", LINES_AS_WELL, first.addr, LINES)
        + &forward("udp", ECHO_OUTSIDE, first.addr, ECHO)
        + &forward("udp", SEEN_AS, first.addr, CALLS_FROM);
    let mut gateway = Gateway::start_with(&topology, &name, &before)?;
    let _lines = (
        LineServer::start(&first.netns, LINES)?,
        LineServer::start(&second.netns, LINES)?,
    );
    let _echoes = (
        UdpEcho::start(&first.netns, ECHO)?,
        UdpEcho::start(&server.netns, ECHO)?,
    );

    let lines = SocketAddrV4::new(*external, LINES_OUTSIDE);
    let former = SocketAddrV4::new(*external, LINES_AS_WELL);
    let session = Session::open(&server.netns, lines)?;
    Session::open(&server.netns, former)?.finish()?;
    let echo = SocketAddrV4::new(*external, ECHO_OUTSIDE);
    let caller = udp::exchange(&server.netns, echo, 0, 3)?;
    ensure!(caller.ip() == server.addr, "the client saw {caller}");
    let to_server = SocketAddrV4::new(server.addr, ECHO);
    let seen = udp::exchange(&first.netns, to_server, CALLS_FROM, 3)?;
    ensure!(
        seen == SocketAddrV4::new(*external, SEEN_AS).into(),
        "the server saw {seen}"
    );

    gateway.stop()?;
    let after = plain + &forward("tcp", LINES_OUTSIDE, second.addr, LINES);
    fs::write(gateway.config(), after)?;
    gateway.start_again()?;
    let status = gateway.ctl_json(&["status"])?;
    ensure!(status["forwards"] == 1, "{status:#}");

    let other = Session::open(&server.netns, lines)?;
    let served: Vec<_> = gateway
        .flows()?
        .into_iter()
        .filter(|flow| flow.external_port == LINES_OUTSIDE)
        .map(|flow| flow.client)
        .collect();
    ensure!(served.contains(&second.addr), "{served:?}");
    other.finish()?;
    // It was with the client that the port led to before.
    ensure!(session.finish().is_err(), "the forward leads elsewhere");
    // What is forwarded no more is the host's, which has nothing there.
    let refused = server
        .netns
        .enter(|| Ok(TcpStream::connect_timeout(&former.into(), PATIENCE)))?;
    ensure!(
        matches!(&refused, Err(error) if error.kind() == ErrorKind::ConnectionRefused),
        "{refused:?}"
    );
    Ok(())
}

fn forward(topology: &Topology, protocol: &str, port: u16, client: Ipv4Addr, to: u16) -> String {
    let external = topology.translated();
    format!(
        "\n[[forward]]\nprotocol = \"{protocol}\"\nexternal = \"{external}:{port}\"\n\
         internal = \"{client}:{to}\"\n"
    )
}
