//! Gateways that have too little of something, and what they drop then.

use std::{net::SocketAddrV4, thread, time::Duration};

use anyhow::{Result, ensure};
use snat_common::Verdict;
use snat_tests::{
    ping::ping,
    raw::Packet,
    scene::{Plan, Scene},
    topology::Host,
    wait,
};

use crate::{Provoked, SOON, counted};

/// One port, few flows, and one new one a second for each client.
pub(crate) fn narrow(datapath: &str) -> Result<Scene> {
    let scene = Plan {
        entry: "ports = \"2000-2000\"\nmapping = \"address-and-port-dependent\"",
        sections: "\n[limits]\nflows_per_source = 2\nnew_flows_per_source = 1\n",
        ..Plan::routed(datapath)
    }
    .start()?;
    ready(scene)
}

/// Has what [`narrow`] has too little of used up.
pub(crate) fn use_up(scene: &mut Scene) -> Result<Vec<Provoked>> {
    let [first, second] = &scene.topology.clients;
    let scene = &*scene;
    let one = |host: &Host, port| begin(scene, host, port);
    // Both to one server and port: there is one port towards it.
    one(first, 9)?;
    one(second, 9)?;
    let mut port = 10;
    let mut more = |reason, who: &Host| {
        wait::until(SOON, &format!("{reason:?}"), || {
            for _ in 0..2 {
                port += 1;
                one(who, port)?;
            }
            ensure!(counted(&scene.gateway, reason)? > 0, "none was dropped");
            Ok(())
        })
    };
    more(Verdict::SourceRate, first)?;
    more(Verdict::SourceLimit, first)?;
    let of = |reason, host: &Host| Provoked {
        reason,
        src: host.addr,
        dst: scene.topology.server.addr,
    };
    Ok(vec![
        of(Verdict::PortsExhausted, second),
        of(Verdict::SourceRate, first),
        of(Verdict::SourceLimit, first),
    ])
}

/// Room for 64 flows.
pub(crate) fn small(datapath: &str) -> Result<Scene> {
    let scene = Plan {
        gateway: "max_flows = 64",
        ..Plan::routed(datapath)
    }
    .start()?;
    ready(scene)
}

/// Has the table of [`small`] filled.
pub(crate) fn fill(scene: &mut Scene) -> Result<Vec<Provoked>> {
    let [greedy, other] = &scene.topology.clients;
    let mut provoked = Vec::new();
    for (who, reason) in [(greedy, Verdict::ShareLimit), (other, Verdict::TableFull)] {
        for port in 1000..1100 {
            begin(scene, who, port)?;
            thread::sleep(Duration::from_micros(100));
        }
        provoked.push(Provoked {
            reason,
            src: who.addr,
            dst: scene.topology.server.addr,
        });
    }
    Ok(provoked)
}

fn ready(scene: Scene) -> Result<Scene> {
    // Next hops are known.
    ping(
        &scene.topology.gateway.netns,
        scene.topology.server.addr,
        1,
        1,
    )?;
    for client in &scene.topology.clients {
        ping(&client.netns, scene.topology.gateway.addr, 1, 1)?;
    }
    Ok(scene)
}

/// The first packet of a flow.
fn begin(scene: &Scene, client: &Host, port: u16) -> Result<()> {
    let src = SocketAddrV4::new(client.addr, 4000);
    let dst = SocketAddrV4::new(scene.topology.server.addr, port);
    Packet::udp(src, dst, 8).send(&client.netns)
}
