//! One daemon per instance, any number of instances.

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    attempt::Refusal,
    gateway::{Gateway, config},
    observe::Objects,
    ping::ping,
    topology::{Offloads, Shape, Topology, unique_prefix},
    wait,
};

#[test]
fn a_second_run_of_the_same_name_is_refused_with_the_firsts_process() -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::OneArm, Offloads::Off, &prefix)?;
    let name = format!("{prefix}once");
    let gateway = Gateway::start(&topology, &name, "xdp")?;
    let before = gateway.objects()?;
    let again = config(&topology, &name, "xdp");
    let refusal = Refusal::of(&topology.gateway.netns, &name, &again)?;
    let process = format!("already running (process {})", gateway.pid());
    refusal.expect(1, &[&name, &process])?;
    ensure!(
        gateway.objects()? == before,
        "the refused run changed something"
    );
    ping(&topology.clients[0].netns, topology.server.addr, 1, 1).map(drop)
}

#[test]
fn two_instances_side_by_side_unload_separately() -> Result<()> {
    let build = || -> Result<(Topology, String)> {
        let prefix = unique_prefix();
        let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
        Ok((topology, format!("{prefix}side")))
    };
    let ((left, left_name), (right, right_name)) = (build()?, build()?);
    let first = Gateway::start(&left, &left_name, "xdp")?;
    let second = Gateway::start(&right, &right_name, "tc")?;
    for (topology, gateway) in [(&left, &first), (&right, &second)] {
        ping(&topology.clients[0].netns, topology.server.addr, 1, 1)?;
        let flows = gateway.flows()?;
        ensure!(flows.len() == 1, "flows of the other one: {flows:?}");
    }
    let (of_first, of_second) = (first.objects()?, second.objects()?);
    first.ctl(&["unload"])?;
    wait::until(
        std::time::Duration::from_secs(5),
        "the first is gone",
        || {
            let alive = of_first.alive()?;
            ensure!(alive == Objects::default(), "{alive:?}");
            Ok(())
        },
    )?;
    ensure!(of_second.alive()? == of_second, "the second lost something");
    ping(&right.clients[0].netns, right.server.addr, 2, 1).context("the second")?;
    second.ctl(&["status"]).map(drop)
}
