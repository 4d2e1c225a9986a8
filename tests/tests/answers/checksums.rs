//! Senders that leave checksums to hardware get answers whose own are right.

use std::{
    io::Write as _,
    net::{SocketAddr, SocketAddrV4, TcpStream, UdpSocket},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Heard, Tap},
    scene::{Plan, Scene},
    traffic::ECHO,
    udp::UdpEcho,
};

use crate::{ONE_FLOW, PATIENCE, SOON, datapaths, resets};

datapaths! {
    an_error_to_a_client_with_checksum_offload_is_sound_tc: errors_are_sound, "tc";
    an_error_to_a_client_with_checksum_offload_is_sound_xdp: errors_are_sound, "xdp";
    a_reset_to_a_client_with_checksum_offload_is_sound_tc: reset_is_sound, "tc";
    a_reset_to_a_client_with_checksum_offload_is_sound_xdp: reset_is_sound, "xdp";
}

fn errors_are_sound(datapath: &str) -> Result<()> {
    let scene = Plan {
        sections: ONE_FLOW,
        ..Plan::routed(datapath)
    }
    .start()?;
    let _echo = UdpEcho::start(&scene.topology.server.netns, ECHO)?;
    let client = &scene.topology.clients[0];
    let server = SocketAddrV4::new(scene.topology.server.addr, ECHO);
    let bind = || {
        client
            .netns
            .enter(|| Ok(UdpSocket::bind((client.addr, 0))?))
    };
    let first = bind()?;
    first.set_read_timeout(Some(PATIENCE))?;
    first.send_to(b"the one flow", server)?;
    first.recv(&mut [0; 64]).context("the one flow")?;
    leave_checksums(&scene)?;

    let heard = Tap::open(&client.netns, "eth0")?;
    let sent = Tap::open(&scene.topology.gateway.netns, "eth1")?;
    let second = bind()?;
    for len in [1, 2, 3, 100, 500, 521, 1400] {
        second.send_to(&vec![len as u8; len], server)?;
        expect_unfinished(&sent, 17)?;
        expect_error(&heard, 17)?;
    }
    let connect = || {
        let server = SocketAddr::from(server);
        Ok(TcpStream::connect_timeout(&server, SOON * 2))
    };
    let connected = client.netns.enter(connect)?;
    ensure!(connected.is_err(), "connect() was to fail");
    expect_unfinished(&sent, 6)?;
    expect_error(&heard, 6)
}

fn reset_is_sound(datapath: &str) -> Result<()> {
    // A whole frame, and one that is many packets (TSO).
    for len in [5, 1000, 20_000] {
        let scene = Plan {
            sections: resets::SHORT,
            ..Plan::routed(datapath)
        }
        .start()?;
        let (mut client, _server) = resets::expired(&scene)?;
        leave_checksums(&scene)?;
        let heard = Tap::open(&scene.topology.clients[0].netns, "eth0")?;
        let sent = Tap::open(&scene.topology.gateway.netns, "eth1")?;
        client.write_all(&vec![7; len])?;
        expect_unfinished(&sent, 6)?;
        let reset = heard.next("a reset", PATIENCE, |heard| {
            let is_reset = heard.protocol() == 6 && heard.payload().get(13) == Some(&4);
            is_reset.then(|| heard.clone())
        })?;
        reset.expect_sound()?;
    }
    Ok(())
}

/// Leaves checksums unfinished all the way from the client to the gateway; on the way back they are finished.
///
/// Not before a flow is opened: XDP can't see it, so its packets would come out wrong.
fn leave_checksums(scene: &Scene) -> Result<()> {
    let client = &scene.topology.clients[0].netns;
    for (netns, dev) in [(client, "eth0"), (&scene.topology.fabric[0], "gw")] {
        netns.run(&format!("ethtool -K {dev} tx on sg on tso on"))?;
    }
    Ok(())
}

/// Fails if what reached the gateway was finished: then the test would show nothing.
fn expect_unfinished(tap: &Tap, protocol: u8) -> Result<()> {
    let sent = next(tap, "the client's packet", |heard| {
        heard.protocol() == protocol
    })?;
    ensure!(sent.expect_sound().is_err(), "the checksum was finished");
    Ok(())
}

fn expect_error(tap: &Tap, about: u8) -> Result<()> {
    let error = next(tap, "the ICMP error", |heard| {
        heard.protocol() == 1 && heard.payload().get(8 + 9) == Some(&about)
    })?;
    error.expect_sound()
}

fn next(tap: &Tap, what: &str, wanted: impl Fn(&Heard) -> bool) -> Result<Heard> {
    tap.next(what, PATIENCE, |heard| wanted(heard).then(|| heard.clone()))
}
