//! Interfaces, addresses and next hops.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{gateway::program, netns, ping::ping, scene::Plan, topology::Shape, wait};

use super::{SOON, expect, ids, is_degraded};

#[test]
fn an_interface_that_is_down_or_renamed_is_told_until_it_is_back() -> Result<()> {
    let scene = Plan::routed("tc").start()?;
    let gw = &scene.topology.gateway.netns;
    gw.ip("link set eth1 down")?;
    expect(&scene.gateway, &["interface.down eth1"])?;
    ensure!(is_degraded(&scene)?);
    gw.ip("link set eth1 up")?;
    expect(&scene.gateway, &[])?;

    gw.ip("link set eth1 down\nlink set eth1 name lan1\nlink set lan1 up")?;
    expect(&scene.gateway, &["interface.renamed eth1"])?;
    gw.ip("link set lan1 down\nlink set lan1 name eth1\nlink set eth1 up")?;
    expect(&scene.gateway, &[])?;

    scene.topology.fabric[0].ip("link set gw down")?;
    expect(&scene.gateway, &["interface.carrier eth1"])?;
    scene.topology.fabric[0].ip("link set gw up")?;
    expect(&scene.gateway, &[])
}

#[test]
fn an_interface_that_is_gone_is_told() -> Result<()> {
    let scene = Plan::routed("tc").start()?;
    scene.topology.gateway.netns.ip("link del eth1")?;
    wait::until(SOON, "status tells of it", || {
        let ids = ids(&scene.gateway)?;
        ensure!(ids.contains(&"interface.gone eth1".to_owned()), "{ids:?}");
        Ok(())
    })
}

#[test]
fn an_address_that_nobody_follows_is_told_until_somebody_does() -> Result<()> {
    let mut scene = Plan::routed("tc").start()?;
    let gw = &scene.topology.gateway.netns;
    scene.gateway.stop()?;
    gw.ip("addr add 203.0.113.77/24 dev eth0\naddr del 203.0.113.10/24 dev eth0")?;
    // The kernel makes the other one the primary, or takes it along: either way it is not the one that was.
    gw.ip("addr replace 203.0.113.77/24 dev eth0\nroute replace default via 203.0.113.1")?;
    expect(
        &scene.gateway,
        &["interface.address eth0", "daemon.stopped"],
    )?;
    scene.gateway.start_again()?;
    expect(&scene.gateway, &[])
}

#[test]
fn an_external_address_that_is_taken_away_is_told_until_it_is_back() -> Result<()> {
    let plan = Plan {
        external: "[\"203.0.113.50\"]",
        addresses: &[[203, 0, 113, 50]],
        ..Plan::routed("tc")
    };
    let scene = plan.start()?;
    let gw = &scene.topology.gateway.netns;
    expect(&scene.gateway, &[])?;
    gw.ip("addr del 203.0.113.50/24 dev eth0")?;
    expect(&scene.gateway, &["external.address 203.0.113.50"])?;
    gw.ip("addr add 203.0.113.50/24 dev eth0")?;
    expect(&scene.gateway, &[])
}

#[test]
fn a_next_hop_that_answers_no_arp_is_told_until_it_does() -> Result<()> {
    let scene = Plan::routed("tc").start()?;
    let (gw, isp) = (&scene.topology.gateway.netns, &scene.topology.fabric[1]);
    let next_hop = Ipv4Addr::new(203, 0, 113, 1);
    isp.ip("link set gw arp off")?;
    gw.ip("neigh flush dev eth0")?;
    ensure!(ping(gw, next_hop, 1, 1).is_err(), "it answers without ARP");
    expect(&scene.gateway, &["neighbour.failed eth0"])?;
    isp.ip("link set gw arp on")?;
    wait::until(SOON, "it answers again", || ping(gw, next_hop, 2, 1)).context("mended")?;
    expect(&scene.gateway, &[])
}

#[test]
fn policy_routes_that_nobody_keeps_are_told_until_somebody_does() -> Result<()> {
    let plan = Plan {
        shape: Shape::TwoEnis,
        sections: "\n[[eni]]\nmatch = { name = \"eth1\" }\ntable = 1001\ngateway = \"192.0.2.1\"\n",
        ..Plan::routed("tc")
    };
    let mut scene = plan.start()?;
    let gw = &scene.topology.gateway.netns;
    expect(&scene.gateway, &[])?;
    scene.gateway.stop()?;
    gw.ip("route flush table 1001")?;
    expect(&scene.gateway, &["daemon.stopped", "eni.differences"])?;
    scene.gateway.start_again()?;
    expect(&scene.gateway, &[])?;
    let status = scene.gateway.ctl_json(&["status", "--interval", "0"])?;
    let routes = &status["policy_routes"];
    ensure!(
        routes["differences"] == 0 && routes["rules"].as_u64() > Some(0),
        "{routes}"
    );
    Ok(())
}

#[test]
fn from_another_network_namespace_it_says_that_it_cannot_see() -> Result<()> {
    let scene = Plan::routed("tc").start()?;
    let elsewhere = netns::command(scene.topology.server.netns.name(), program()?)
        .args([
            "--name",
            scene.gateway.name(),
            "status",
            "--json",
            "--interval",
            "0",
        ])
        .output()?;
    let status: Value = serde_json::from_slice(&elsewhere.stdout)?;
    let problems = super::problems(&status)?;
    ensure!(
        problems.len() == 1 && problems[0]["id"] == "netns.other",
        "{problems:?}"
    );
    Ok(())
}
