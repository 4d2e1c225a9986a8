//! What happens to the network around the gateway and on it.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::World;
use crate::{soak::ground::SECOND, topology::Topology};

const ROUTE: &str = "route replace default via 203.0.113.1 dev eth0";

pub(super) fn forget_neighbours(world: &mut World<'_>) -> Result<()> {
    world.topology.gateway.netns.ip("neigh flush all")
}

pub(super) fn replace_route(world: &mut World<'_>) -> Result<()> {
    let gateway = &world.topology.gateway.netns;
    gateway.ip("route add default via 203.0.113.1 dev eth0 metric 50
                route del default via 203.0.113.1 dev eth0 metric 0")?;
    world.pass(50..500);
    gateway.ip(&format!(
        "{ROUTE}\nroute del default via 203.0.113.1 dev eth0 metric 50"
    ))
}

pub(super) fn add_address(world: &mut World<'_>) -> Result<()> {
    let gateway = &world.topology.gateway.netns;
    gateway.ip("addr add 203.0.113.77/24 dev eth0")?;
    world.pass(50..500);
    gateway.ip("addr del 203.0.113.77/24 dev eth0")
}

pub(super) fn remove_address(world: &mut World<'_>) -> Result<()> {
    let gateway = &world.topology.gateway.netns;
    let addr = Ipv4Addr::from(SECOND);
    gateway.ip(&format!("addr del {addr}/24 dev eth0"))?;
    world.pass(50..800);
    gateway.ip(&format!("addr add {addr}/24 dev eth0"))
}

/// Another machine takes the router's place, and says so.
pub(super) fn change_mac(world: &mut World<'_>) -> Result<()> {
    let last = world.rng.u16(1..);
    let [high, low] = last.to_be_bytes();
    router(world.topology).ip(&format!(
        "link set gw address 02:00:5e:00:{high:02x}:{low:02x}"
    ))
}

pub(super) fn change_mtu(world: &mut World<'_>) -> Result<()> {
    let gateway = &world.topology.gateway.netns;
    let mtu = world.rng.u16(1280..1500);
    gateway.ip(&format!("link set eth0 mtu {mtu}"))?;
    world.pass(200..1500);
    gateway.ip("link set eth0 mtu 1500")
}

/// The router's port: the gateway sees its carrier go and come.
pub(super) fn flap_outside(world: &mut World<'_>) -> Result<()> {
    let router = router(world.topology);
    router.ip("link set gw down")?;
    world.pass(20..1500);
    router.ip("link set gw up
               route replace 172.16.0.0/16 via 203.0.113.10")
}

/// The switch's port.
pub(super) fn flap_inside(world: &mut World<'_>) -> Result<()> {
    let switch = &world.topology.fabric[0];
    switch.ip("link set gw down")?;
    world.pass(20..1500);
    switch.ip("link set gw up")
}

/// By an administrator: with the interface goes the route, and does not come back by itself.
pub(super) fn flap_own(world: &mut World<'_>) -> Result<()> {
    let gateway = &world.topology.gateway.netns;
    gateway.ip("link set eth0 down")?;
    world.pass(20..1500);
    gateway.ip(&format!("link set eth0 up\n{ROUTE}"))
}

fn router(topology: &Topology) -> &crate::netns::Netns {
    &topology.fabric[1]
}
