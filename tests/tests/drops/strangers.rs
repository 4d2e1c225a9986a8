//! An external address that the host lost while nobody looked after the gateway.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::Result;
use snat_common::Verdict;
use snat_tests::{
    raw::Packet,
    scene::{Plan, Scene},
};

use crate::Provoked;

const LOST: [u8; 4] = [203, 0, 113, 50];

/// A gateway whose entry has an address besides the interface's own.
pub(crate) fn second_address(datapath: &str) -> Result<Scene> {
    Plan {
        addresses: &[LOST],
        external: "[\"203.0.113.50\"]",
        ..Plan::routed(datapath)
    }
    .start()
}

/// Takes the address away, and has a packet come for it.
pub(crate) fn lose_it(scene: &mut Scene) -> Result<Vec<Provoked>> {
    // It would see, and no longer take packets for that address as its own.
    scene.gateway.kill()?;
    let lost = Ipv4Addr::from(LOST);
    let topology = &scene.topology;
    topology
        .gateway
        .netns
        .ip(&format!("addr del {lost}/24 dev eth0"))?;
    topology.fabric[1].ip(&format!("route add {lost}/32 via {}", topology.external))?;
    let src = SocketAddrV4::new(topology.server.addr, 4000);
    Packet::udp(src, SocketAddrV4::new(lost, 80), 8).send(&topology.server.netns)?;
    Ok(vec![Provoked {
        reason: Verdict::NoMapping,
        src: topology.server.addr,
        dst: lost,
    }])
}
