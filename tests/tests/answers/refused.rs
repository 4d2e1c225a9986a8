//! A client that is refused a flow (RFC 5508 REQ-8, RFC 6888 REQ-11).

use std::{
    io::ErrorKind,
    net::{SocketAddr, SocketAddrV4, TcpStream, UdpSocket},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    raw::IcmpInbox,
    scene::{Plan, Scene},
    traffic::ECHO,
    udp::UdpEcho,
};

use crate::{ONE_FLOW, PATIENCE, SOON, datapaths};

const ADMIN_PROHIBITED: (u8, u8) = (3, 13);
const HOST_UNREACHABLE: (u8, u8) = (3, 1);

datapaths! {
    a_refused_client_is_told_at_once_tc: refused_is_told, "tc";
    a_refused_client_is_told_at_once_xdp: refused_is_told, "xdp";
    a_refused_client_is_told_with_the_code_configured_tc: code_is_configured, "tc";
    a_refused_client_hears_nothing_if_configured_so_tc: silence_is_configured, "tc";
}

fn refused_is_told(datapath: &str) -> Result<()> {
    let (scene, _echo) = start(datapath, ONE_FLOW)?;
    let client = &scene.topology.clients[0];
    let mut inbox = IcmpInbox::open(&client.netns)?;

    let begin = Instant::now();
    let error = connect(&scene)?;
    let took = begin.elapsed();
    ensure!(error == ErrorKind::HostUnreachable, "TCP: {error}");
    ensure!(took < SOON, "TCP heard of it after {took:?}");
    let error = inbox.next(ADMIN_PROHIBITED, SOON)?;
    ensure!(error.from == scene.topology.gateway.addr, "{error:?}");
    ensure!(
        (error.about_src, error.about_dst) == (client.addr, scene.topology.server.addr),
        "{error:?}"
    );

    let socket = client
        .netns
        .enter(|| Ok(UdpSocket::bind((client.addr, 0))?))?;
    socket.connect(server(&scene))?;
    socket.set_read_timeout(Some(SOON))?;
    socket.send(b"one too many")?;
    let error = socket.recv(&mut [0; 64]).err().context("UDP: an answer")?;
    ensure!(error.kind() == ErrorKind::HostUnreachable, "UDP: {error}");

    // The flow there was is as it was.
    ensure!(scene.gateway.flows()?.len() == 1);
    ensure!(scene.gateway.verdict("source_limit")? == 2);
    Ok(())
}

fn code_is_configured(datapath: &str) -> Result<()> {
    let sections = format!("{ONE_FLOW}\n[answers]\nrefused = \"host-unreachable\"\n");
    let (scene, _echo) = start(datapath, &sections)?;
    let mut inbox = IcmpInbox::open(&scene.topology.clients[0].netns)?;
    connect(&scene)?;
    inbox.next(HOST_UNREACHABLE, SOON)?;
    Ok(())
}

fn silence_is_configured(datapath: &str) -> Result<()> {
    let sections = format!("{ONE_FLOW}\n[answers]\nrefused = \"none\"\n");
    let (scene, _echo) = start(datapath, &sections)?;
    let error = connect(&scene)?;
    ensure!(error == ErrorKind::TimedOut, "{error}");
    // The SYN, and the one that is sent again after a second.
    ensure!(scene.gateway.verdict("source_limit")? >= 1);
    Ok(())
}

/// With a client that has all the flows it may.
fn start(datapath: &str, sections: &str) -> Result<(Scene, UdpEcho)> {
    let scene = Plan {
        sections,
        ..Plan::routed(datapath)
    }
    .start()?;
    let echo = UdpEcho::start(&scene.topology.server.netns, ECHO)?;
    let client = &scene.topology.clients[0];
    let socket = client
        .netns
        .enter(|| Ok(UdpSocket::bind((client.addr, 4000))?))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(b"the one flow", server(&scene))?;
    socket.recv(&mut [0; 64]).context("the one flow")?;
    Ok((scene, echo))
}

/// How the client's connect() fails.
fn connect(scene: &Scene) -> Result<ErrorKind> {
    let server = SocketAddr::from(server(scene));
    let connected = scene.topology.clients[0]
        .netns
        .enter(|| Ok(TcpStream::connect_timeout(&server, SOON * 2)))?;
    Ok(connected.err().context("connect() was to fail")?.kind())
}

fn server(scene: &Scene) -> SocketAddrV4 {
    SocketAddrV4::new(scene.topology.server.addr, ECHO)
}
