//! An interface that goes and comes back under the same name is attached to again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use snat_tests::{
    capture::Capture,
    gateway::Gateway,
    link::{connect, end, offloads_off, receive_from_xdp},
    ping::ping,
    topology::{Offloads, Shape, Topology, unique_prefix},
    wait,
};

#[test]
fn an_interface_that_comes_back_translates_again_xdp() -> Result<()> {
    comes_back("xdp")
}

#[test]
fn an_interface_that_comes_back_translates_again_tc() -> Result<()> {
    comes_back("tc")
}

fn comes_back(datapath: &str) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let _gateway = Gateway::start(&topology, &format!("{prefix}hotplug"), datapath)?;
    let (gw, isp) = (&topology.gateway.netns, &topology.fabric[1]);
    let client = &topology.clients[0].netns;
    ping(client, topology.server.addr, 1, 1).context("before")?;

    let outside = Capture::start(&topology.server.netns, "eth0")?;
    gw.ip("link del eth0")?;
    connect(
        end(gw, "eth0", [203, 0, 113, 10], 24),
        end(isp, "gw", [203, 0, 113, 1], 24),
    )?;
    offloads_off(gw, "eth0")?;
    offloads_off(isp, "gw")?;
    receive_from_xdp(isp, "gw")?;
    gw.ip("route add default via 203.0.113.1")?;
    isp.ip("route replace 172.16.0.0/16 via 203.0.113.10")?;
    wait::until(
        Duration::from_secs(15),
        "the client reaches the server again",
        || ping(client, topology.server.addr, 2, 1),
    )?;
    outside.finish()?.expect_sound()
}
