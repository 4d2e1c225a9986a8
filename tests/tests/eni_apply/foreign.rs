//! Rules and routes of others, of the same shape as ours: they are left alone, whatever we do.

use std::time::Duration;

use anyhow::{Result, ensure};
use snat_tests::{
    eni::Snapshot,
    topology::enis::{ETH1, Eni},
    wait,
};

use super::{Scene, each_answers_by_its_own};

/// `static`: somebody else's protocol.
const THEIRS: &str = "4";
const OURS: &str = "201";

#[test]
fn twins_of_others_survive_apply_repair_and_remove() -> Result<()> {
    let scene = Scene::new("")?;
    scene.ctl.done("apply")?;
    let applied = scene.snapshot()?;
    // `ip` refuses a twin of a rule that is there, so theirs come while ours are away.
    change_rules(&scene, "del", OURS)?;
    change_rules(&scene, "add", THEIRS)?;
    add_routes(&scene)?;
    let theirs = theirs(&scene.snapshot()?);
    ensure!(
        theirs.len() == 8,
        "not all of theirs are there: {theirs:#?}"
    );

    scene.ctl.done("apply")?;
    let with_ours = scene.snapshot()?;
    expect_both(&with_ours, &applied, &theirs)?;

    let mut daemon = scene.ctl.daemon()?;
    change_rules(&scene, "del", OURS)?;
    scene.enis.vm.run("ip route flush table 1001 proto 201")?;
    scene
        .enis
        .vm
        .run("ip -6 route flush table 1001 proto 201")?;
    wait::until(Duration::from_secs(5), "repair", || {
        expect_both(&scene.snapshot()?, &applied, &theirs)
    })?;
    each_answers_by_its_own(&scene.enis)?;
    daemon.stop()?;

    scene.ctl.done("remove")?;
    expect_both(&scene.snapshot()?, &scene.before, &theirs)
}

/// Adds or deletes rules that are ours in all but the protocol.
fn change_rules(scene: &Scene, verb: &str, protocol: &str) -> Result<()> {
    let Eni {
        addr, addr6, table, ..
    } = ETH1;
    for (family, selector, priority) in [
        ("-4", format!("from {addr}"), 20_400),
        ("-6", format!("from {addr6}"), 20_400),
        ("-4", "oif eth1".to_owned(), 20_410),
    ] {
        scene.enis.vm.run(&format!(
            "ip {family} rule {verb} {selector} lookup {table} priority {priority} protocol {protocol}"
        ))?;
    }
    Ok(())
}

/// In IPv4 true twins. In IPv6 the kernel knows routes by prefix, metric and next hop, so one of them differs.
fn add_routes(scene: &Scene) -> Result<()> {
    let Eni {
        gateway,
        gateway6,
        table,
        ..
    } = ETH1;
    for route in [
        format!("-4 route append default via {gateway} dev eth1 table {table}"),
        format!("-4 route append unreachable default metric 4294967295 table {table}"),
        format!("-4 route append default via {gateway} dev eth1 metric 200"),
        format!("-6 route append default via {gateway6} dev eth1 metric 1025 table {table}"),
        format!("-6 route append 2001:db8:99::/64 via {gateway6} dev eth1 table {table}"),
    ] {
        scene.enis.vm.run(&format!("ip {route} proto {THEIRS}"))?;
    }
    Ok(())
}

fn theirs(snapshot: &Snapshot) -> Vec<String> {
    let tag = format!("proto {THEIRS}");
    let lines = snapshot.lines().filter(|line| line.contains(&tag));
    lines.map(str::to_owned).collect()
}

/// Fails unless exactly these two are there together.
fn expect_both(now: &Snapshot, others: &Snapshot, theirs: &[String]) -> Result<()> {
    let mut expected: Vec<_> = others
        .lines()
        .chain(theirs.iter().map(String::as_str))
        .collect();
    let mut found: Vec<_> = now.lines().collect();
    expected.sort_unstable();
    found.sort_unstable();
    ensure!(
        found == expected,
        "there are other rules or routes than those:\n{}\nand {theirs:#?}",
        now.difference(others)
    );
    Ok(())
}
