//! What kind of NAT we are, as STUN clients of others find out (RFC 5780, RFC 3489): every mapping with every
//! filtering, as configured, whatever happened before (RFC 4787 REQ-1, REQ-8, REQ-11).

mod cases;
mod kernel_nat;
mod situations;

use anyhow::{Context as _, Result};
use snat_tests::{
    gateway::Gateway,
    stun::server::StunServer,
    topology::{Shape, Topology, unique_prefix},
};

use crate::{
    cases::{Case, MAPPINGS, config},
    situations::Situation,
};

#[test]
fn every_mapping_and_filtering_is_found_as_configured_xdp_routed() -> Result<()> {
    found_as_configured("xdp", Shape::Routed)
}

#[test]
fn every_mapping_and_filtering_is_found_as_configured_tc_one_arm() -> Result<()> {
    found_as_configured("tc", Shape::OneArm)
}

fn found_as_configured(datapath: &str, shape: Shape) -> Result<()> {
    let cases = cases::all(&MAPPINGS);
    let (topology, _server) = network(shape, &cases)?;
    let name = format!("{}stun", unique_prefix());
    let config = config(&topology, &name, datapath, &cases);
    let gateway = Gateway::start_with(&topology, &name, &config)?;
    situations::judged(&topology, &cases, &Situation::ALL)
        .with_context(|| format!("snat-ctl run said:\n{}", gateway.log()))
}

/// A network with inner and external addresses for each case, and the STUN server.
fn network(shape: Shape, cases: &[Case]) -> Result<(Topology, StunServer)> {
    let topology = cases::network(shape, cases)?;
    let server = StunServer::start(&topology.server.netns, cases::servers(&topology))?;
    Ok((topology, server))
}
