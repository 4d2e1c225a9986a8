//! Kernels before 6.6 have no TCX: the same traffic passes by filters on a clsact qdisc.

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::Gateway,
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic,
};

/// One test, for the environment that forces it is the whole process's.
#[test]
fn clsact_filters_translate_survive_a_restart_and_are_removed_alone() -> Result<()> {
    // SAFETY: no other test of this process is running.
    unsafe { std::env::set_var("SNAT_FORCE_CLSACT", "1") };
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let gw = &topology.gateway.netns;
    gw.run("tc qdisc add dev eth0 clsact")?;
    gw.run("tc filter add dev eth0 ingress prio 7 protocol all u32 match u32 0 0 flowid 1:1")?;

    let name = format!("{prefix}clsact");
    let mut gateway = Gateway::start(&topology, &name, "tc")?;
    ensure!(gateway.log().contains("clsact"), "{}", gateway.log());
    gateway.stop()?;
    let filters = || -> Result<usize> {
        Ok(
            ["eth0 ingress", "eth0 egress", "eth1 ingress", "eth1 egress"]
                .iter()
                .map(|hook| gw.run(&format!("tc filter show dev {hook}")))
                .collect::<Result<Vec<_>>>()?
                .iter()
                .flat_map(|text| text.lines())
                .filter(|line| line.contains("snat_"))
                .count(),
        )
    };
    ensure!(filters()? == 4, "{} filters after a start", filters()?);
    let mut gateway = Gateway::start(&topology, &name, "tc")?;
    ensure!(filters()? == 4, "{} filters after a restart", filters()?);
    ensure!(
        missing_hooks(&gateway)? == [""; 0],
        "{:?}",
        missing_hooks(&gateway)?
    );
    gw.run("tc filter del dev eth1 egress pref 49153")?;
    let told = missing_hooks(&gateway)?;
    ensure!(
        matches!(&told[..], [what] if what.starts_with("eth1: the TC egress program")),
        "{told:?}"
    );
    gateway.stop()?;
    gateway.start_again()?;
    ensure!(
        missing_hooks(&gateway)? == [""; 0],
        "{:?}",
        missing_hooks(&gateway)?
    );

    gw.run("tc filter del dev eth0 ingress prio 7")?;
    traffic::everything(&topology)?;
    gw.run("tc filter add dev eth0 ingress prio 7 protocol all u32 match u32 0 0 flowid 1:1")?;

    gateway.ctl(&["unload"])?;
    ensure!(filters()? == 0, "{} filters after unload", filters()?);
    let foreign = gw.run("tc filter show dev eth0 ingress")?;
    ensure!(
        foreign.contains("u32"),
        "the foreign filter is gone: {foreign}"
    );
    Ok(())
}

/// Programs that `status` misses.
fn missing_hooks(gateway: &Gateway) -> Result<Vec<String>> {
    let status = gateway.ctl_json(&["status", "--interval", "0"])?;
    let problems = status["problems"].as_array().context("no problems")?;
    let missing = problems
        .iter()
        .filter(|problem| problem["id"] == "hook.missing");
    let what = missing.filter_map(|problem| problem["what"].as_str());
    Ok(what.map(str::to_owned).collect())
}
