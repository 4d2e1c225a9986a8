//! Clients' prefixes that hold the server as well: a reply has a client's source, and is none.

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{Gateway, config},
    ping::ping,
    topology::{Offloads, Shape, Topology, unique_prefix},
};

#[test]
fn replies_from_a_server_inside_a_client_prefix_arrive_tc() -> Result<()> {
    replies_arrive("tc")
}

#[test]
fn replies_from_a_server_inside_a_client_prefix_arrive_xdp() -> Result<()> {
    replies_arrive("xdp")
}

fn replies_arrive(datapath: &str) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let name = format!("{prefix}wide");
    let all = config(&topology, &name, datapath).replace("172.16.0.0/16", "0.0.0.0/0");
    let gateway = Gateway::start_with(&topology, &name, &all)?;
    for client in &topology.clients {
        ping(&client.netns, topology.server.addr, 1, 3).context("through the gateway")?;
    }
    ping(&topology.gateway.netns, topology.server.addr, 1, 3).context("the gateway's own")?;
    ensure!(gateway.verdict("leak_stopped")? == 0);
    ensure!(gateway.flows()?.len() == 2, "{:?}", gateway.flows()?);
    Ok(())
}
