//! Who may speak to a mapping changes with the configuration, also for mappings that there are.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{traffic::ECHO, udp::UdpEcho, wait};

use crate::ground::{PATIENCE, change, datagrams, datapaths, seen_as, two_addresses};

datapaths! {
    filtering_that_is_changed_reaches_mappings_that_there_are: reaches, "xdp";
}

fn reaches(datapath: &str) -> Result<()> {
    let scene = two_addresses(datapath).start()?;
    scene.more_servers(30..31)?;
    let server = &scene.topology.server.netns;
    let _echo = UdpEcho::start(server, ECHO)?;
    let client = datagrams(&scene, 4500, ECHO)?;
    let external = seen_as(&client)?;
    // Unconnected: it hears from anybody.
    let hears = scene.topology.clients[1].netns.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 4500))?;
        socket.set_nonblocking(true)?;
        socket.send_to(b"hello", (crate::ground::SERVER, ECHO))?;
        Ok(socket)
    })?;
    let mut buffer = [0; 128];
    let seen = wait::until(PATIENCE, "the echo", || {
        let (len, _) = hears.recv_from(&mut buffer)?;
        let text = String::from_utf8_lossy(&buffer[..len]);
        let seen = text.split(' ').next().unwrap_or_default();
        seen.parse::<SocketAddrV4>().context("no address")
    })?;
    ensure!(seen != external);
    let stranger = server.enter(|| Ok(UdpSocket::bind("198.51.100.30:9000")?))?;
    let filtered = |times: u64| {
        wait::until(PATIENCE, "the stranger is filtered", || {
            let now = scene.gateway.verdict("unsolicited")? + scene.gateway.verdict("filtered")?;
            ensure!(now == times, "{now}");
            Ok(())
        })
    };
    stranger.send_to(b"1", seen)?;
    filtered(1)?;
    let none = "[[bypass]]";
    let open = format!("filtering = \"endpoint-independent\"\n{none}");
    ensure!(change(&scene, none, &open)? == 0);
    stranger.send_to(b"2", seen)?;
    wait::until(PATIENCE, "the stranger is heard", || {
        let (len, _) = hears.recv_from(&mut buffer)?;
        ensure!(&buffer[..len] == b"2", "{:?}", &buffer[..len]);
        Ok(())
    })?;
    ensure!(change(&scene, &open, none)? == 0);
    let other = server.enter(|| Ok(UdpSocket::bind("198.51.100.30:9001")?))?;
    other.send_to(b"3", seen)?;
    filtered(2)
}
