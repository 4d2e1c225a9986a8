//! All ports of a pool are used before anybody is refused.

use std::{collections::BTreeSet, net::SocketAddrV4, time::Duration};

use anyhow::{Result, ensure};
use snat_tests::{scene::Plan, wait};

use crate::ground::{Flow, Ground, KINDS, Kind, MAPPINGS, at};

const PORTS: u16 = 2000;

#[test]
fn every_port_of_a_pool_is_used_towards_one_destination_before_the_first_refusal_xdp() -> Result<()>
{
    MAPPINGS
        .iter()
        .try_for_each(|mapping| every_port_is_used("xdp", mapping))
}

#[test]
fn every_port_of_a_pool_is_used_towards_one_destination_before_the_first_refusal_tc() -> Result<()>
{
    every_port_is_used("tc", "endpoint-independent")
}

/// Ranges with a gap between them.
fn every_port_is_used(datapath: &str, mapping: &str) -> Result<()> {
    let scene = Plan {
        entry: &format!("mapping = {mapping:?}\nports = \"2000-2009,3000-4979,5001,6001-6009\""),
        ..Plan::routed(datapath)
    }
    .start()?;
    let ground = Ground::of(&scene)?;
    let pool: BTreeSet<u16> = [2000..=2009, 3000..=4979, 5001..=5001, 6001..=6009]
        .into_iter()
        .flatten()
        .collect();
    ensure!(pool.len() == usize::from(PORTS));
    let client = scene.topology.clients[0].addr;
    let server = at(scene.topology.server.addr, 9000);
    for kind in KINDS {
        // More even ones than the pool has: whoever finds none takes an odd one.
        let spread = |number: u16| {
            if number < 1500 {
                10_000 + 2 * number
            } else {
                10_001 + 2 * (number - 1500)
            }
        };
        let flow = |number| -> Flow { (kind, at(client, spread(number)), server) };
        // The identifier of the pings that tell when all has arrived takes one of ICMP's.
        let free = if kind == Kind::Ping { PORTS - 1 } else { PORTS };
        let flows: Vec<_> = (0..free).map(flow).collect();
        let refused = scene.gateway.verdict("ports_exhausted")?;
        let seen = ground.seen(&flows)?;
        let used: BTreeSet<_> = seen.values().map(SocketAddrV4::port).collect();
        ensure!(
            seen.len() == flows.len() && used.len() == seen.len() && used.is_subset(&pool),
            "{mapping}, {kind:?}: {} of {free} flows left by {} ports",
            seen.len(),
            used.len()
        );
        ensure!(
            scene.gateway.verdict("ports_exhausted")? == refused,
            "{mapping}, {kind:?}: refused while ports were free"
        );

        let more: Vec<_> = (free..free + 5).map(flow).collect();
        let seen = ground.seen(&more)?;
        ensure!(seen.is_empty(), "{mapping}, {kind:?}: {seen:?}");
        wait::until(Duration::from_secs(3), "the rest is refused", || {
            let counted = scene.gateway.verdict("ports_exhausted")? - refused;
            ensure!(counted == 5, "{counted} were");
            Ok(())
        })?;
        // Those that have one keep it.
        let seen = ground.seen(&flows)?;
        ensure!(seen.len() == flows.len(), "{mapping}, {kind:?}");
    }
    Ok(())
}
