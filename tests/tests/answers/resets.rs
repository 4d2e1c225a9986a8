//! Nobody hangs: a connection whose flow is gone is reset as soon as it speaks.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddrV4, TcpListener, TcpStream},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Tap,
    ping::ping,
    scene::{Plan, Scene},
    segment::{ACK, RST, SYN, Segment},
    wait,
};

use crate::{PATIENCE, SOON, datapaths};

const PORT: u16 = 5001;
/// So that connections expire while a test waits.
pub(crate) const SHORT: &str = "\n[timeouts]\ntcp_established = \"1s\"\n";

datapaths! {
    a_connection_whose_flow_expired_is_reset_tc: expired_is_reset, "tc";
    a_connection_whose_flow_expired_is_reset_xdp: expired_is_reset, "xdp";
    a_server_is_reset_only_if_configured_so_tc: server_is_reset, "tc";
    a_server_is_reset_only_if_configured_so_xdp: server_is_reset, "xdp";
}

fn expired_is_reset(datapath: &str) -> Result<()> {
    let scene = Plan {
        sections: SHORT,
        ..Plan::routed(datapath)
    }
    .start()?;
    let (mut client, _server) = expired(&scene)?;
    client.set_read_timeout(Some(SOON))?;
    let begin = Instant::now();
    client.write_all(b"still there?")?;
    let error = client.read(&mut [0; 64]).err().context("an answer")?;
    let took = begin.elapsed();
    ensure!(error.kind() == ErrorKind::ConnectionReset, "{error}");
    ensure!(took < SOON, "{took:?}");
    ensure!(scene.gateway.verdict("tcp_no_flow")? == 1);
    Ok(())
}

/// Both ends of a connection whose flow is gone.
pub(crate) fn expired(scene: &Scene) -> Result<(TcpStream, TcpStream)> {
    let addr = SocketAddrV4::new(scene.topology.server.addr, PORT);
    let listener = scene
        .topology
        .server
        .netns
        .enter(|| Ok(TcpListener::bind(addr)?))?;
    let client = scene.topology.clients[0]
        .netns
        .enter(|| Ok(TcpStream::connect_timeout(&addr.into(), PATIENCE)?))?;
    listener.set_nonblocking(true)?;
    let (server, _) = wait::until(PATIENCE, "the server accepts", || Ok(listener.accept()?))?;
    client.set_nodelay(true)?;
    wait::until(PATIENCE, "the flow expires", || {
        let flows = scene.gateway.flows()?;
        ensure!(flows.is_empty(), "{flows:?}");
        Ok(())
    })?;
    Ok((client, server))
}

fn server_is_reset(datapath: &str) -> Result<()> {
    for (who, resets) in [("[\"clients\"]", false), ("[\"servers\"]", true)] {
        let sections = format!("\n[answers]\nreset = {who}\n");
        let scene = Plan {
            sections: &sections,
            ..Plan::routed(datapath)
        }
        .start()?;
        let netns = &scene.topology.server.netns;
        let tap = Tap::open(netns, "eth0")?;
        let src = SocketAddrV4::new(scene.topology.server.addr, PORT);
        let dst = SocketAddrV4::new(scene.topology.external, 30_000);
        Segment::new(src, dst, ACK).packet().send(netns)?;
        wait::until(PATIENCE, "the segment is refused", || {
            ensure!(scene.gateway.verdict("stray_in")? == 1);
            Ok(())
        })?;
        // A SYN may be followed by the client's own: it gets nothing (RFC 5382 REQ-4).
        Segment::new(src, dst, SYN).packet().send(netns)?;
        wait::until(PATIENCE, "the SYN is dropped", || {
            ensure!(scene.gateway.verdict("unsolicited")? == 1);
            Ok(())
        })?;
        // Once this is answered, what was sent before has arrived as well.
        ping(netns, *dst.ip(), 1, 1)?;
        let mut heard = Vec::new();
        wait::until(PATIENCE, "the answers arrive", || {
            heard.extend(tap.all(|heard| {
                (heard.protocol() == 6 && heard.src() == *dst.ip()).then(|| heard.clone())
            })?);
            ensure!(heard.len() == usize::from(resets), "{who}: {}", heard.len());
            Ok(())
        })?;
        for reset in heard {
            reset.expect_sound()?;
            ensure!(reset.payload()[13] == RST, "{:02x?}", reset.bytes);
            ensure!(reset.ports() == (dst.port(), src.port()));
            ensure!(
                reset.payload()[4..8] == [0, 0, 0, 1],
                "the number acknowledged"
            );
        }
    }
    Ok(())
}
