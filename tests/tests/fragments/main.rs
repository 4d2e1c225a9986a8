//! Datagrams in fragments (RFC 4787 REQ-14, RFC 6864, RFC 1858): whole, in any order, both ways, and no harm.

mod carried;
mod hostile;
mod orders;
mod pieces;
mod smaller_path;
mod whole;

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    scene::{Plan, Scene},
    topology::Shape,
};

use crate::whole::{bind, echo, large_ping};

/// Where the server listens.
const PORT: u16 = 7007;
/// Where clients do.
const CLIENT_PORT: u16 = 4000;

macro_rules! everywhere {
    ($($name:ident: $test:path, $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            $crate::at($datapath, snat_tests::topology::Shape::$shape, $test)
        })+
    };
}
use everywhere;

everywhere! {
    large_datagrams_arrive_whole_xdp: large_datagrams, "xdp", Routed;
    large_datagrams_arrive_whole_xdp_generic_one_arm: large_datagrams, "xdp-generic", OneArm;
    large_datagrams_arrive_whole_tc: large_datagrams, "tc", Routed;
    large_datagrams_arrive_whole_tc_one_arm: large_datagrams, "tc", OneArm;
    the_gateways_own_fragments_stay_its_own_xdp: gateways_own, "xdp", Routed;
    the_gateways_own_fragments_stay_its_own_tc: gateways_own, "tc", OneArm;
}

fn at(datapath: &str, shape: Shape, test: fn(&Scene) -> Result<()>) -> Result<()> {
    let plan = Plan {
        shape,
        ..Plan::routed(datapath)
    };
    let scene = plan.start()?;
    test(&scene).with_context(|| {
        let status = scene.gateway.ctl(&["status"]);
        format!("snat-ctl status:\n{}", status.unwrap_or_default())
    })
}

fn large_datagrams(scene: &Scene) -> Result<()> {
    let topology = &scene.topology;
    let server = bind(&topology.server.netns, server_addr(scene))?;
    for (number, client) in topology.clients.iter().enumerate() {
        let socket = bind(&client.netns, client_addr(scene, number))?;
        for len in [1472, 1473, 6000, 9001, 30_000] {
            let seen = echo(&socket, &server, len)?;
            ensure!(*seen.ip() == topology.external, "it came from {seen}");
        }
        for len in [1472, 1473, 4000, 20_000] {
            large_ping(&client.netns, topology.server.addr, len)?;
        }
    }
    ensure!(scene.gateway.verdict("fragment_invalid")? == 0);
    Ok(())
}

fn gateways_own(scene: &Scene) -> Result<()> {
    let topology = &scene.topology;
    let gateway = &topology.gateway;
    large_ping(&gateway.netns, topology.server.addr, 4000).context("from the gateway")?;
    large_ping(&topology.server.netns, topology.external, 4000).context("to the gateway")?;
    let client = &topology.clients[0];
    large_ping(&client.netns, gateway.addr, 4000).context("from a client to the gateway")?;
    large_ping(&gateway.netns, client.addr, 4000).context("from the gateway to a client")?;
    ensure!(scene.gateway.flows()?.is_empty(), "it opened a flow");
    orders::to_the_gateway(scene)
}

fn server_addr(scene: &Scene) -> SocketAddrV4 {
    SocketAddrV4::new(scene.topology.server.addr, PORT)
}

fn client_addr(scene: &Scene, number: usize) -> SocketAddrV4 {
    SocketAddrV4::new(scene.topology.clients[number].addr, CLIENT_PORT)
}

/// An address that is nobody's.
fn nobody(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}
