//! A container on a bridge of the host, which speaks to eth1's address and to the world outside.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use snat_tests::{
    eni::section,
    netns::Netns,
    ping::ping,
    session::{LineServer, Session},
    topology::{
        enis::{ETH1, Enis, SERVER},
        unique_prefix,
    },
    traffic::SSH,
    wait,
};

use super::{Scene, network::documented_commands};

#[test]
fn the_documented_commands_cut_a_container_off() -> Result<()> {
    let mut enis = Enis::build(&unique_prefix())?;
    enis.add_container()?;
    let container = enis.container.as_ref().context("no container")?;
    let _inside = LineServer::start(&enis.vm, SSH)?;
    let _outside = LineServer::start(&enis.srv, SSH)?;
    speaks_to(container, &[ETH1.addr, SERVER])?;
    documented_commands(&enis)?;
    speaks_to(container, &[SERVER])?;
    assert!(speaks_to(container, &[ETH1.addr]).is_err());
    Ok(())
}

#[test]
fn a_container_keeps_talking_to_eth1_and_outside() -> Result<()> {
    let prefix = unique_prefix();
    let mut enis = Enis::build(&prefix)?;
    enis.add_container()?;
    let scene = Scene::of(enis, &prefix, &section(&ETH1, ""))?;
    let _outside = LineServer::start(&scene.enis.srv, SSH)?;
    let container = scene.enis.container.as_ref().context("no container")?;
    let session = Session::open(container, (ETH1.addr, SSH))?;
    scene.ctl.done("apply")?;
    session.finish()?;
    let [secondary] = *ETH1.further else { panic!() };
    speaks_to(container, &[ETH1.addr, secondary, SERVER])?;
    scene.remove()?;
    speaks_to(container, &[ETH1.addr, SERVER])
}

#[test]
fn a_container_that_comes_later_is_let_in_by_the_daemon() -> Result<()> {
    let mut scene = Scene::new("")?;
    let _daemon = scene.ctl.daemon()?;
    scene.enis.add_container()?;
    let container = scene.enis.container.as_ref().context("no container")?;
    wait::until(Duration::from_secs(10), "a rule for the bridge", || {
        let rules = scene.enis.vm.run("ip rule show")?;
        rules.contains("172.17.0.0/16").then_some(()).context(rules)
    })?;
    speaks_to(container, &[ETH1.addr])
}

fn speaks_to(container: &Netns, addresses: &[Ipv4Addr]) -> Result<()> {
    for address in addresses {
        ping(container, *address, 1, 1)?;
        Session::open(container, (*address, SSH))?.finish()?;
    }
    Ok(())
}
