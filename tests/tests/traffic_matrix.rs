//! Every datapath in every place: all kinds of traffic arrive whole, from the right address only,
//! and the gateway's own connections are untouched.

use anyhow::{Context as _, Result};
use snat_tests::{
    gateway::Gateway,
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic,
};

macro_rules! matrix {
    ($($name:ident: $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            traffic_passes($datapath, Shape::$shape)
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

fn traffic_passes(datapath: &str, shape: Shape) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let gateway = Gateway::start(&topology, &format!("{prefix}{datapath}"), datapath)?;
    traffic::everything(&topology).with_context(|| {
        let status = gateway
            .ctl(&["status"])
            .unwrap_or_else(|error| format!("{error:#}"));
        format!(
            "snat-ctl status:\n{status}\nsnat-ctl run said:\n{}",
            gateway.log()
        )
    })
}
