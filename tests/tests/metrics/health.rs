//! `/healthz` tells what keeps the daemon from its work, for as long as it does.

use std::fs;

use anyhow::{Result, ensure};
use snat_tests::{scrape, topology::Shape, wait};

use crate::ground::{LOOPBACK, SOON, start};

#[test]
fn what_could_not_be_followed_is_tried_again_without_another_change() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    let netns = &scene.topology.gateway.netns;
    let answers = |code| {
        wait::until(SOON, "the health is another", || {
            let health = scrape::get(netns, LOOPBACK, "/healthz")?;
            ensure!(health.code == code, "{health:?}");
            Ok(())
        })
    };
    answers(200)?;
    // Neither its going nor its coming back is a change of the host's network.
    let interfaces = scene.gateway.pins().join("INTERFACES");
    let aside = scene.gateway.pins().join("INTERFACES_aside");
    fs::rename(&interfaces, &aside)?;
    netns.run("ip link add name other type veth peer name another")?;
    answers(503)?;
    fs::rename(&aside, &interfaces)?;
    answers(200)
}
