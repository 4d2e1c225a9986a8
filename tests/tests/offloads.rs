//! TC with every offload on: segments of 64 KB and checksums left to the NIC pass through whole.

use anyhow::Result;
use snat_tests::{
    gateway::Gateway,
    http::HttpServer,
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::{self, HTTP},
};

#[test]
fn tc_one_arm_carries_merged_segments_both_ways() -> Result<()> {
    both_ways(Shape::OneArm)
}

#[test]
fn tc_routed_carries_merged_segments_both_ways() -> Result<()> {
    both_ways(Shape::Routed)
}

fn both_ways(shape: Shape) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::On, &prefix)?;
    let _gateway = Gateway::start(&topology, &format!("{prefix}tc"), "tc")?;
    let _http = HttpServer::start(&topology.server.netns, HTTP)?;
    traffic::download(&topology.clients[0], &topology.server)?;
    traffic::upload(&topology.clients[1], &topology.server)
}
