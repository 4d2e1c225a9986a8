//! Kernels before 6.6 have no TCX: the same traffic passes by filters on a clsact qdisc.

use std::{collections::BTreeSet, ffi::OsString, fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    gateway::Gateway,
    netns::output,
    observe::bpftool,
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

    gateway.stop()?;
    stays_beside_another_version(&mut gateway)?;
    ensure!(filters()? == 4, "{} filters after a refusal", filters()?);
    gateway.start_again()?;

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

/// A datapath of before: of another version, and without a map that has come since. Nothing pinned says that it is
/// attached.
fn stays_beside_another_version(gateway: &mut Gateway) -> Result<()> {
    let pins = gateway.pins();
    let aside = pins.join("LOG_aside");
    fs::rename(pins.join("LOG"), &aside)?;
    let mine = set_abi(&pins, "0x63")?;
    let before = names(&pins)?;
    let refused = gateway.start_again().err().context("it starts")?;
    ensure!(
        format!("{refused:#}").contains("its ABI version is 99"),
        "{refused:#}"
    );
    ensure!(names(&pins)? == before, "{:?}", names(&pins)?);

    set_abi(&pins, &mine)?;
    let refused = gateway.start_again().err().context("it starts")?;
    ensure!(
        format!("{refused:#}").contains("maps are missing"),
        "{refused:#}"
    );
    ensure!(names(&pins)? == before, "{:?}", names(&pins)?);
    Ok(fs::rename(aside, pins.join("LOG"))?)
}

/// Writes the first byte of `SETTINGS`; what it was.
fn set_abi(pins: &Path, abi: &str) -> Result<String> {
    let settings = pins.join("SETTINGS");
    let settings = settings.to_str().context("a path")?;
    let dumped = bpftool(&["map", "dump", "pinned", settings])?;
    let bytes = dumped[0]["value"].as_array().context("no bytes")?;
    let mut bytes: Vec<_> = bytes.iter().filter_map(Value::as_str).collect();
    let was = std::mem::replace(&mut bytes[0], abi);
    let key = ["key", "0", "0", "0", "0", "value"];
    let update = ["map", "update", "pinned", settings];
    output(Command::new("bpftool").args(update).args(key).args(bytes))?;
    Ok(was.to_owned())
}

fn names(folder: &Path) -> Result<BTreeSet<OsString>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name()))
        .collect()
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
