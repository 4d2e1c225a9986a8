//! Every datapath in every place: all kinds of traffic arrive whole, from the right address only,
//! and the gateway's own connections are untouched.

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::Gateway,
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic,
};

macro_rules! matrix {
    ($($name:ident: $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            let (topology, gateway) = start($datapath, Shape::$shape)?;
            traffic_passes(&topology, &gateway)
        })+
    };
}

matrix! {
    xdp_one_arm: "xdp", OneArm;
    xdp_routed: "xdp", Routed;
    xdp_generic_one_arm: "xdp-generic", OneArm;
    xdp_generic_routed: "xdp-generic", Routed;
    tc_one_arm: "tc", OneArm;
    tc_routed: "tc", Routed;
}

#[test]
fn auto_takes_native_xdp_where_it_works() -> Result<()> {
    let (topology, gateway) = start("auto", Shape::Routed)?;
    let status = gateway.ctl_json(&["status"])?;
    let interfaces = status["interfaces"].as_array().context("no interfaces")?;
    ensure!(
        interfaces.len() == 2
            && interfaces
                .iter()
                .all(|interface| interface["mode"] == "xdp"),
        "{interfaces:?}"
    );
    traffic_passes(&topology, &gateway)
}

fn start(datapath: &str, shape: Shape) -> Result<(Topology, Gateway)> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let gateway = Gateway::start(&topology, &format!("{prefix}{datapath}"), datapath)?;
    Ok((topology, gateway))
}

fn traffic_passes(topology: &Topology, gateway: &Gateway) -> Result<()> {
    traffic::everything(topology).with_context(|| {
        let status = gateway
            .ctl(&["status"])
            .unwrap_or_else(|error| format!("{error:#}"));
        format!(
            "snat-ctl status:\n{status}\nsnat-ctl run said:\n{}",
            gateway.log()
        )
    })?;
    no_flow_is_the_gateways(topology, gateway)
}

/// Their timeouts are minutes: the flows of all the traffic are still there, and nothing else.
fn no_flow_is_the_gateways(topology: &Topology, gateway: &Gateway) -> Result<()> {
    let flows = gateway.flows()?;
    let clients = topology.clients.each_ref().map(|client| client.addr);
    for client in clients {
        ensure!(
            flows.iter().any(|flow| flow.client == client),
            "none of {client}"
        );
    }
    let strange = flows.iter().find(|flow| {
        !clients.contains(&flow.client) || traffic::OWN_PORTS.contains(&flow.external_port)
    });
    ensure!(strange.is_none(), "{strange:?}");
    Ok(())
}
