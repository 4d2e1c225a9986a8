//! Several ENIs that share the default route by weight: each flow leaves by the one that is explained.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use snat_tests::{
    cgroup_root::CgroupRoot,
    gateway::Gateway,
    ping::ping,
    segment::SYN,
    topology::{
        Offloads, Shape, Topology,
        two_enis::{ETH0, ETH1},
        unique_prefix,
    },
};

use crate::{
    agreement::Trial,
    ground::{Ground, deafen, inside, outside, quiet},
    packets::{Case, Side, TCP, UDP, at},
};

const FLOWS: u16 = 40;
const SERVER: [u8; 4] = [198, 51, 100, 20];

#[test]
fn each_flow_leaves_by_the_eni_that_is_explained_tc() -> Result<()> {
    by_the_one_explained("tc")
}

#[test]
fn each_flow_leaves_by_the_eni_that_is_explained_xdp() -> Result<()> {
    by_the_one_explained("xdp")
}

fn by_the_one_explained(datapath: &str) -> Result<()> {
    let root = CgroupRoot::enter()?;
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::TwoEnis, Offloads::Off, &prefix)?;
    quiet(&topology)?;
    let name = format!("{prefix}ex");
    let gateway = Gateway::start_with(&topology, &name, &config(&name, datapath))?;
    ping(&topology.gateway.netns, topology.clients[0].addr, 9, 1)?;
    for (number, router) in ["203.0.113.1", "192.0.2.1"].into_iter().enumerate() {
        let router: std::net::Ipv4Addr = router.parse()?;
        ping(&topology.gateway.netns, router, 10 + number as u16, 1)?;
    }
    deafen(&topology)?;
    let wires = vec![
        inside(&topology, "eth2")?,
        outside(&topology, Side::Outside, "eth0", "gw0", ETH0.octets())?,
        outside(&topology, Side::Beside, "eth1", "gw1", ETH1.octets())?,
    ];
    let ground = Ground::of(gateway, wires, Box::new((topology, root)))?;

    let mut trial = Trial::new(&ground);
    for port in 0..FLOWS {
        let explanation = trial.explain_and_send(&first(port))?;
        // What answers comes in by the same.
        let reply = Case {
            side: if explanation["egress"] == "eth0" {
                Side::Outside
            } else {
                Side::Beside
            },
            ..answer(&first(port), &explanation)?
        };
        trial.explain_and_send(&reply)?;
    }
    let explained = trial.finish()?;
    let used: BTreeSet<_> = explained
        .iter()
        .map(|(_, explanation)| explanation["egress"].as_str().unwrap_or("none"))
        .collect();
    ensure!(used == BTreeSet::from(["eth0", "eth1", "eth2"]), "{used:?}");
    ground.gateway.ctl(&["eni", "remove"]).map(drop)
}

fn first(port: u16) -> Case {
    Case {
        side: Side::Inside,
        protocol: if port.is_multiple_of(2) { TCP } else { UDP },
        src: at([172, 16, 1, 11], 40_000 + port),
        dst: at(SERVER, 443),
        ttl: 64,
        size: 0,
        dont_fragment: false,
        flags: SYN,
    }
}

fn answer(case: &Case, explanation: &serde_json::Value) -> Result<Case> {
    let left = crate::cases::leaves_as(explanation);
    let (src, dst) = anyhow::Context::context(left, "it does not leave")?;
    Ok(Case {
        src: dst,
        dst: src,
        flags: 0x12,
        ..*case
    })
}

fn config(name: &str, datapath: &str) -> String {
    format!(
        r#"[gateway]
name       = "{name}"
interfaces = ["eth0", "eth1", "eth2"]
datapath   = "{datapath}"
max_flows  = 4096

[[snat]]
source   = ["172.16.0.0/16"]
external = ["auto"]

[[eni]]
match   = {{ name = "eth0" }}
table   = 1000
gateway = "203.0.113.1"
weight  = 1

[[eni]]
match   = {{ name = "eth1" }}
table   = 1001
gateway = "192.0.2.1"
weight  = 1
default_metric = 200
"#
    )
}
