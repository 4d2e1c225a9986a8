//! Outside is told what a router tells, and by the external address alone.

use std::net::{SocketAddrV4, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Tap,
    raw::{DONT_FRAGMENT, FRAGMENTATION_NEEDED, IcmpInbox, Packet, TIME_EXCEEDED},
    scene::{Plan, Scene},
    wait,
};

use crate::{PATIENCE, SOON, datapaths};

const PORT: u16 = 33_434;
const SMALL: u16 = 1300;

datapaths! {
    a_traceroute_from_outside_sees_the_external_address_tc: traceroute_sees, "tc";
    a_traceroute_from_outside_sees_the_external_address_xdp: traceroute_sees, "xdp";
    a_server_is_told_how_large_a_packet_may_be_tc: too_big_is_told, "tc";
    a_server_is_told_how_large_a_packet_may_be_xdp: too_big_is_told, "xdp";
    a_client_is_told_how_large_a_packet_to_another_may_be_tc: too_big_is_told_around, "tc";
}

fn traceroute_sees(datapath: &str) -> Result<()> {
    let scene = Plan::routed(datapath).start()?;
    let (server, mapped) = opened(&scene)?;
    let tap = Tap::open(&scene.topology.server.netns, "eth0")?;
    let mut inbox = IcmpInbox::open(&scene.topology.server.netns)?;
    let mut probe = Packet::udp(server, mapped, 32);
    // The provider's router, then the gateway.
    probe.ttl = 2;
    probe.send(&scene.topology.server.netns)?;
    let error = inbox.next(TIME_EXCEEDED, SOON)?;
    ensure!(error.from == scene.topology.external, "{error:?}");
    ensure!(
        (error.about_src, error.about_dst) == (*server.ip(), *mapped.ip()),
        "{error:?}"
    );
    let seen = tap.next("the error", SOON, |heard| {
        (heard.protocol() == 1).then(|| heard.clone())
    })?;
    seen.expect_sound()?;
    ensure!(scene.gateway.verdict("ttl_expired")? == 1);
    Ok(())
}

fn too_big_is_told(datapath: &str) -> Result<()> {
    let scene = Plan::routed(datapath).start()?;
    let (server, mapped) = opened(&scene)?;
    shrink(&scene, 0)?;
    let mut inbox = IcmpInbox::open(&scene.topology.server.netns)?;
    let mut packet = Packet::udp(server, mapped, 1400);
    packet.fragment = DONT_FRAGMENT;
    // Until the gateway has heard of its route.
    let error = wait::until(PATIENCE, "the server is told", || {
        packet.send(&scene.topology.server.netns)?;
        inbox.next(FRAGMENTATION_NEEDED, SOON)
    })?;
    ensure!(
        error.mtu == SMALL && error.from == scene.topology.external,
        "{error:?}"
    );
    Ok(())
}

/// The error about a packet from a client to another, which passed the gateway twice, finds its way back.
fn too_big_is_told_around(datapath: &str) -> Result<()> {
    let scene = Plan {
        entry: "mapping = \"endpoint-independent\"\nfiltering = \"endpoint-independent\"",
        ..Plan::routed(datapath)
    }
    .start()?;
    let (_, mapped) = opened(&scene)?;
    shrink(&scene, 0)?;
    let client = &scene.topology.clients[1];
    let mut inbox = IcmpInbox::open(&client.netns)?;
    let src = SocketAddrV4::new(client.addr, PORT);
    let mut packet = Packet::udp(src, mapped, 1400);
    packet.fragment = DONT_FRAGMENT;
    let error = wait::until(PATIENCE, "the client is told", || {
        packet.send(&client.netns)?;
        inbox.next(FRAGMENTATION_NEEDED, SOON)
    })?;
    ensure!(
        error.mtu == SMALL && error.from == scene.topology.external,
        "{error:?}"
    );
    ensure!(
        (error.about_src, error.about_dst) == (client.addr, scene.topology.external),
        "{error:?}"
    );
    Ok(())
}

/// Makes the route to a client smaller. Locked: of a route's own MTU the kernel tells BPF no other.
fn shrink(scene: &Scene, client: usize) -> Result<()> {
    let addr = scene.topology.clients[client].addr;
    scene
        .topology
        .gateway
        .netns
        .ip(&format!("route add {addr}/32 dev eth1 mtu lock {SMALL}"))
}

/// A flow of the first client: its server's end and the external one.
pub(crate) fn opened(scene: &Scene) -> Result<(SocketAddrV4, SocketAddrV4)> {
    let server = SocketAddrV4::new(scene.topology.server.addr, PORT);
    let listener = scene
        .topology
        .server
        .netns
        .enter(|| Ok(UdpSocket::bind(server)?))?;
    listener.set_read_timeout(Some(PATIENCE))?;
    let client = &scene.topology.clients[0];
    let socket = client
        .netns
        .enter(|| Ok(UdpSocket::bind((client.addr, 4000))?))?;
    socket.send_to(b"open", server)?;
    let (_, mapped) = listener.recv_from(&mut [0; 64]).context("opening a flow")?;
    match mapped {
        std::net::SocketAddr::V4(mapped) => Ok((server, mapped)),
        std::net::SocketAddr::V6(other) => anyhow::bail!("IPv6: {other}"),
    }
}
