//! Programs that somebody has taken away.

use std::fs;

use anyhow::{Result, ensure};
use snat_tests::{
    ping::ping,
    scene::{Plan, Scene},
};

use super::{expect, is_degraded};

#[test]
fn a_pin_that_is_removed_is_a_missing_program_until_the_next_start() -> Result<()> {
    for hook in ["xdp", "ingress", "egress"] {
        let mut scene = Plan::routed("xdp").start()?;
        expect(&scene.gateway, &[])?;
        fs::remove_file(link(&scene, hook, "eth0"))?;
        expect(&scene.gateway, &["hook.missing eth0"])?;
        ensure!(is_degraded(&scene)?, "{hook}");
        starts_again(&mut scene)?;
    }
    Ok(())
}

/// The pin stays, and what is behind it is attached to nothing.
#[test]
fn a_link_that_is_detached_is_a_missing_program_until_the_next_start() -> Result<()> {
    for hook in ["xdp", "ingress", "egress"] {
        let mut scene = Plan::routed("xdp").start()?;
        let link = link(&scene, hook, "eth1");
        scene
            .topology
            .gateway
            .netns
            .run(&format!("bpftool link detach pinned {link}"))?;
        expect(&scene.gateway, &["hook.missing eth1"])?;
        starts_again(&mut scene)?;
    }
    Ok(())
}

fn starts_again(scene: &mut Scene) -> Result<()> {
    scene.gateway.stop()?;
    scene.gateway.start_again()?;
    expect(&scene.gateway, &[])?;
    ping(
        &scene.topology.clients[0].netns,
        scene.topology.server.addr,
        1,
        1,
    )
    .map(drop)
}

fn link(scene: &Scene, hook: &str, dev: &str) -> String {
    let link = scene.gateway.pins().join("links");
    link.join(format!("{hook}-{dev}")).display().to_string()
}
