//! What may change of a link that stays.

use std::net::SocketAddrV4;

use anyhow::{Context as _, Result, ensure};
use snat_tests::{capture::Capture, scene::Plan, stream::Stream, traffic::ECHO, udp::UdpEcho};

use super::{asked, soon};

const STREAM: u16 = 9;

#[test]
fn down_and_up_again_the_flow_goes_on_within_a_second_xdp() -> Result<()> {
    down_and_up("xdp")
}

#[test]
fn down_and_up_again_the_flow_goes_on_within_a_second_tc() -> Result<()> {
    down_and_up("tc")
}

#[test]
fn under_another_name_an_interface_goes_on() -> Result<()> {
    let scene = Plan::routed("xdp").start()?;
    let (gw, server) = (&scene.topology.gateway.netns, &scene.topology.server);
    let client = &scene.topology.clients[0].netns;
    let stream = Stream::start(client, &server.netns, server.addr, STREAM, 2_000)?;
    let before = scene.gateway.objects()?;
    gw.ip("link set eth0 name wan0")?;
    soon("the daemon says so", || {
        let log = scene.gateway.log();
        ensure!(log.contains("interface eth0 is called wan0 now"), "{log}");
        Ok(())
    })?;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    asked(client, SocketAddrV4::new(server.addr, ECHO), 5000).context("a new flow")?;
    gw.ip("link set wan0 name eth0")?;
    asked(client, SocketAddrV4::new(server.addr, ECHO), 5001).context("under its old name")?;
    ensure!(scene.gateway.objects()?.links == before.links);
    stream.finish().map(drop)
}

#[test]
fn another_link_layer_address_is_that_of_translated_frames_within_a_second_xdp() -> Result<()> {
    another_mac("xdp")
}

#[test]
fn another_link_layer_address_is_that_of_translated_frames_within_a_second_tc() -> Result<()> {
    another_mac("tc")
}

fn another_mac(datapath: &str) -> Result<()> {
    let scene = Plan::routed(datapath).start()?;
    let (gw, server) = (&scene.topology.gateway.netns, &scene.topology.server);
    let client = &scene.topology.clients[0].netns;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    let echo = SocketAddrV4::new(server.addr, ECHO);
    let stream = Stream::start(client, &server.netns, server.addr, STREAM, 2_000)?;
    let before = asked(client, echo, 5000)?;
    // As drivers do it that tell the neighbours.
    gw.sysctl("net/ipv4/conf/eth0/arp_notify", "1")?;
    gw.ip("link set eth0 address 02:00:00:00:00:77")?;
    let isp = &scene.topology.fabric[1];
    soon("the router has frames from it and answers to it", || {
        let neighbours = isp.run("ip neigh show dev gw")?;
        ensure!(neighbours.contains("02:00:00:00:00:77"), "{neighbours}");
        let after = asked(client, echo, 5000)?;
        ensure!(after == before, "{before} became {after}");
        Ok(())
    })?;
    let outside = Capture::start(isp, "gw")?;
    asked(client, echo, 5000)?;
    // First, for a capture ends when nothing comes any more.
    stream.finish()?;
    outside.finish()?.expect_sound()
}

fn down_and_up(datapath: &str) -> Result<()> {
    let scene = Plan::routed(datapath).start()?;
    let (gw, server) = (&scene.topology.gateway.netns, &scene.topology.server);
    let client = &scene.topology.clients[0].netns;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    let echo = SocketAddrV4::new(server.addr, ECHO);
    let before = asked(client, echo, 5000)?;
    gw.ip("link set eth0 down")?;
    ensure!(asked(client, echo, 5000).is_err(), "the link is down");
    gw.ip("link set eth0 up
           route add default via 203.0.113.1")?;
    let after = soon("the flow goes on", || asked(client, echo, 5000))?;
    ensure!(after == before, "{before} became {after}");
    Ok(())
}
