//! An external address that goes takes its own flows with it, and no other.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use snat_tests::{capture::Tap, scene::Scene, segment::RST, traffic::ECHO, udp::UdpEcho};

use crate::ground::{
    FIRST, PATIENCE, SECOND, change, connection, datagrams, datapaths, ended_are_gone, is_reset,
    listen, seen_as, speaks, two_addresses,
};

const PORT: u16 = 5001;
const BOTH: &str = "[\"203.0.113.10\", \"203.0.113.11\"]";

datapaths! {
    an_address_that_goes_ends_only_its_own_flows_xdp: only_its_own, "xdp";
    an_address_that_goes_ends_only_its_own_flows_tc: only_its_own, "tc";
    a_client_that_lost_its_address_goes_on_by_another_at_once_xdp: goes_on, "xdp";
    a_client_that_lost_its_address_goes_on_by_another_at_once_tc: goes_on, "tc";
}

fn only_its_own(datapath: &str) -> Result<()> {
    let scene = two_addresses(datapath).start()?;
    let listener = listen(&scene, PORT)?;
    let clients = scene.more_clients(20..40)?;
    let mut by_address = [Vec::new(), Vec::new()];
    for client in clients {
        let mut connection = connection(&scene, &listener, client)?;
        speaks(&mut connection)?;
        let second = external_of(&scene, client)? == SECOND;
        by_address[usize::from(second)].push(connection);
    }
    let [mut kept, mut lost] = by_address;
    ensure!(
        !kept.is_empty() && lost.len() >= 2,
        "{} and {}",
        kept.len(),
        lost.len()
    );

    let ended = change(&scene, BOTH, "[\"203.0.113.10\"]")?;
    ensure!(
        ended == lost.len() as u64,
        "{ended} ended of {}",
        lost.len()
    );
    let flows = scene.gateway.flows()?;
    for flow in &flows {
        let is_ended = flow.state == "ended";
        ensure!(is_ended == (flow.external == SECOND), "{flow:?}");
    }
    for connection in &mut kept {
        speaks(connection)?;
    }
    // Whichever side speaks first: there is a reset on its own wire, and its socket takes it.
    let (inside, outside) = (
        Tap::open(&scene.topology.clients[0].netns, "eth0")?,
        Tap::open(&scene.topology.server.netns, "eth0")?,
    );
    for (number, (client, server)) in lost.iter_mut().enumerate() {
        if number % 2 == 0 {
            is_reset(client)?;
            reset_heard(&inside, super::ground::SERVER)?;
            is_reset(server)?;
        } else {
            is_reset(server)?;
            reset_heard(&outside, SECOND)?;
            is_reset(client)?;
        }
    }
    ensure!(scene.gateway.verdict("flow_ended")? >= 2 * lost.len() as u64);

    ended_are_gone(&scene)?;
    let status = scene.gateway.ctl_json(&["status", "--interval", "0"])?;
    ensure!(
        status["events"]["flow_removed_config"] == lost.len(),
        "{status}"
    );
    for connection in &mut kept {
        speaks(connection)?;
    }
    Ok(())
}

fn reset_heard(tap: &Tap, from: Ipv4Addr) -> Result<()> {
    tap.next("an RST", PATIENCE, |heard| {
        let flags = heard.payload().get(13).copied().unwrap_or_default();
        (heard.protocol() == 6 && heard.src() == from && flags & RST != 0)
            .then(|| heard.expect_sound())
    })?
}

fn external_of(scene: &Scene, client: Ipv4Addr) -> Result<Ipv4Addr> {
    let flows = scene.gateway.flows()?;
    let flow = flows.iter().find(|flow| flow.client == client);
    flow.map(|flow| flow.external)
        .ok_or_else(|| anyhow::anyhow!("{client} has no flow: {flows:?}"))
}

/// The endpoint has a mapping at the address that goes: the next datagram must not find it.
fn goes_on(datapath: &str) -> Result<()> {
    let scene = two_addresses(datapath).start()?;
    let _echo = UdpEcho::start(&scene.topology.server.netns, ECHO)?;
    let socket = datagrams(&scene, 4500, ECHO)?;
    let before = seen_as(&socket)?;
    let (gone, left) = if *before.ip() == FIRST {
        (FIRST, SECOND)
    } else {
        (SECOND, FIRST)
    };
    ensure!(change(&scene, BOTH, &format!("[\"{left}\"]"))? == 1);
    let after = seen_as(&socket)?;
    ensure!(
        *after.ip() == left,
        "{before} became {after}, and {gone} is gone"
    );
    let again = seen_as(&socket)?;
    ensure!(again == after, "{after} became {again}");
    Ok(())
}
