//! The address that `auto` stands for.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    scene::{Plan, Scene},
    session::{LineServer, Session},
    traffic::ECHO,
    udp::UdpEcho,
    wait,
};

use super::{PATIENCE, asked, soon};

const LINES: u16 = 22;
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);

#[test]
fn another_address_of_the_interface_is_the_external_one_within_a_second_xdp() -> Result<()> {
    another_address("xdp")
}

#[test]
fn another_address_of_the_interface_is_the_external_one_within_a_second_tc() -> Result<()> {
    another_address("tc")
}

#[test]
fn flows_live_when_their_address_is_taken_away_and_given_back() -> Result<()> {
    let scene = Plan::routed("xdp").start()?;
    let (_lines, server) = lines(&scene)?;
    let (client, gw) = (
        &scene.topology.clients[0].netns,
        &scene.topology.gateway.netns,
    );
    let session = Session::open(client, server)?;
    let before = scene.gateway.flows()?;
    for _ in 0..3 {
        gw.ip("addr del 203.0.113.10/24 dev eth0")?;
        // The daemon has seen it by then.
        thread::sleep(Duration::from_millis(300));
        gw.ip("addr add 203.0.113.10/24 dev eth0
               route add default via 203.0.113.1")?;
        thread::sleep(Duration::from_millis(1500));
    }
    session.finish()?;
    let after = scene.gateway.flows()?;
    ensure!(
        after.len() == 1 && after[0].external_port == before[0].external_port,
        "{after:?}"
    );
    Ok(())
}

fn another_address(datapath: &str) -> Result<()> {
    let scene = Plan::routed(datapath).start()?;
    let (_lines, server) = lines(&scene)?;
    let [client, other] = &scene.topology.clients;
    let _echo = UdpEcho::start(&scene.topology.server.netns, ECHO)?;
    let echo = SocketAddrV4::new(scene.topology.server.addr, ECHO);
    let mut old = client.netns.enter(|| Ok(TcpStream::connect(server)?))?;
    old.set_read_timeout(Some(PATIENCE))?;
    old.write_all(b"before\n")?;
    old.read_exact(&mut [0; 7])?;

    asked(&other.netns, echo, 5000)?;
    let gw = &scene.topology.gateway.netns;
    gw.ip("addr add 203.0.113.11/24 dev eth0")?;
    gw.sysctl("net/ipv4/conf/eth0/promote_secondaries", "1")?;
    gw.ip("addr del 203.0.113.10/24 dev eth0
           route replace default via 203.0.113.1")?;
    let mut port = 5000;
    soon("a new flow has the new address", || {
        port += 1;
        let seen = asked(&other.netns, echo, port)?;
        ensure!(seen.ip() == OTHER, "the server saw {seen}");
        Ok(())
    })?;
    // Nobody would answer to what still went out with the old one; who has such a connection is told.
    wait::until(PATIENCE, "no flow has the address that is gone", || {
        let flows = scene.gateway.flows()?;
        let old = flows
            .iter()
            .filter(|flow| flow.external == scene.topology.external);
        ensure!(old.count() == 0, "{flows:?}");
        Ok(())
    })?;
    // An endpoint that had the old address has the new one with its next packet.
    let seen = asked(&other.netns, echo, 5000)?;
    ensure!(seen.ip() == OTHER, "the server saw {seen}");
    old.write_all(b"after\n").ok();
    let ended = old.read(&mut [0; 8]);
    ensure!(
        matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset),
        "{ended:?}"
    );
    let log = scene.gateway.log();
    ensure!(
        log.contains("203.0.113.10: no address of this host any more; ended "),
        "{log}"
    );
    Ok(())
}

fn lines(scene: &Scene) -> Result<(LineServer, SocketAddrV4)> {
    let server = &scene.topology.server;
    let lines = LineServer::start(&server.netns, LINES).context("the server")?;
    Ok((lines, SocketAddrV4::new(server.addr, LINES)))
}
