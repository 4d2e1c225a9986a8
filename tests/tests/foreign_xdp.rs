//! Where somebody else's XDP program sits, ours does not go.

use anyhow::{Result, ensure};
use serde_json::Value;
use snat_tests::{
    attempt::Refusal,
    foreign::{Counter, Hook, NAME},
    gateway::{Gateway, config},
    netns::Netns,
    ping::ping,
    topology::{Offloads, Shape, Topology, unique_prefix},
};

#[test]
fn a_foreign_xdp_program_is_named_and_never_replaced() -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let gw = &topology.gateway.netns;
    let foreign = Counter::attach(gw, "eth0", Hook::Xdp)?;
    let id = attached(gw)?;
    let name = format!("{prefix}guest");
    for datapath in ["xdp", "xdp-generic", "auto"] {
        let refusal = Refusal::of(gw, &name, &config(&topology, &name, datapath))?;
        let program = format!("{NAME:?}, id {id}");
        refusal.expect(1, &["eth0", &program, "datapath = \"tc\""])?;
    }

    let _gateway = Gateway::start(&topology, &name, "tc")?;
    let before = foreign.packets()?;
    ping(&topology.clients[0].netns, topology.server.addr, 1, 3)?;
    let seen = foreign.packets()? - before;
    ensure!(seen >= 3, "the foreign program saw {seen} of 3 replies");
    ensure!(attached(gw)? == id, "another program has its place");
    Ok(())
}

/// Id of the XDP program on eth0.
fn attached(gw: &Netns) -> Result<u64> {
    let shown: Value = serde_json::from_str(&gw.run("ip -j link show eth0")?)?;
    Ok(shown[0]["xdp"]["prog"]["id"].as_u64().unwrap_or(0))
}
