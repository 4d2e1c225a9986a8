//! A forward on an address of eth1: what came in by eth1 leaves by it, through the NAT too.

use anyhow::{Result, ensure};
use snat_tests::{
    capture::Capture,
    scene::Plan,
    session::{LineServer, Session},
    topology::two_enis::{ETH0, ETH1},
};

use crate::gateway::{Gateway, enis, plan};

const PORT: u16 = 8000;
const PORT_OUTSIDE: u16 = 8443;

#[test]
fn what_came_in_by_eth1_for_a_forward_is_answered_by_eth1_xdp() -> Result<()> {
    answered_by_eth1("xdp")
}

#[test]
fn what_came_in_by_eth1_for_a_forward_is_answered_by_eth1_tc() -> Result<()> {
    answered_by_eth1("tc")
}

fn answered_by_eth1(datapath: &str) -> Result<()> {
    let forward = format!(
        "
[[forward]]
protocol = \"tcp\"
external = \"{ETH1}:{PORT_OUTSIDE}\"
internal = \"172.16.1.11:{PORT}\"
"
    );
    let sections = forward + &enis(Default::default());
    let gateway = Gateway::start(&Plan {
        sections: &sections,
        ..plan(datapath)
    })?;
    let topology = &gateway.scene().topology;
    let _lines = LineServer::start(&topology.clients[0].netns, PORT)?;
    let isp = &topology.fabric[1];
    let wires = [Capture::start(isp, "gw0")?, Capture::start(isp, "gw1")?];

    let session = Session::open(&topology.server.netns, (ETH1, PORT_OUTSIDE))?;
    ensure!(session.finish()? > 0, "no line");
    // What clients begin themselves still goes by the default route.
    let begun = gateway.clients.ask(10_000..10_020)?;
    ensure!(begun.values().all(|seen| *seen.ip() == ETH0), "{begun:?}");

    let [by_eth0, by_eth1] = wires.map(Capture::finish);
    by_eth0?.expect_only_from(ETH0)?;
    by_eth1?.expect_only_from(ETH1)
}
