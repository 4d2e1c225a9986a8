//! What others do to policy routes is found, and what is as intended is not called wrong.

use anyhow::{Result, ensure};
use snat_tests::topology::enis::{ETH1, Eni};

use super::Scene;

#[test]
fn all_is_as_intended_after_apply() -> Result<()> {
    let scene = Scene::new("")?;
    let ended = scene.verify(
        0,
        &["all as intended", "table 1001, eth1 via 172.16.20.253"],
    )?;
    ensure!(!ended.stdout.contains("WRONG"), "{ended}");
    let report = scene.ctl.json("verify")?;
    ensure!(report["ok"] == true, "{report}");
    for empty in ["absent", "differences", "probes"] {
        ensure!(report[empty] == serde_json::json!([]), "{empty}: {report}");
    }
    for family in ["172.16.20.193", "2001:db8:20::193"] {
        let checks = scene.checks("address of eth1")?;
        let asked = checks.iter().filter(|check| {
            check["question"]
                .as_str()
                .is_some_and(|q| q.contains(family))
        });
        ensure!(asked.count() == 1, "{family}: {checks:?}");
    }
    Ok(())
}

#[test]
fn somebody_s_rule_that_comes_first() -> Result<()> {
    let Eni { addr, addr6, .. } = ETH1;
    for (rule, answer) in [
        (
            format!("-4 rule add from {addr} lookup main priority 100"),
            "table 254, eth0 via 172.16.10.253; expected: table 1001, eth1 via 172.16.20.253",
        ),
        (
            format!("-6 rule add from {addr6} lookup main priority 100"),
            "table 254, eth0 via 2001:db8:10::fd; expected: table 1001, eth1 via 2001:db8:20::fd",
        ),
        (
            format!("-4 rule add from {addr} prohibit priority 100"),
            "prohibited; expected: table 1001",
        ),
    ] {
        let scene = Scene::new("")?;
        scene.enis.vm.run(&format!("ip {rule}"))?;
        let ended = scene.verify(3, &["WRONG", "address of eth1", answer, "not as intended"])?;
        let wrong = ended.stdout.lines().filter(|line| line.contains("WRONG"));
        ensure!(wrong.count() == 1, "more than one is wrong: {ended}");
        let report = scene.ctl.json("verify")?;
        ensure!(report["ok"] == false, "{report}");
        // Ours are all there: it is the kernel's answer that tells.
        ensure!(report["differences"] == serde_json::json!([]), "{report}");
    }
    Ok(())
}

#[test]
fn our_route_replaced() -> Result<()> {
    let scene = Scene::new("")?;
    let route = scene.enis.vm.run("ip route show default table 1001")?;
    let ours = route.lines().next().unwrap_or_default();
    let theirs = ours.replace("172.16.20.253", "172.16.20.9");
    let theirs = theirs
        .replace("proto snat-ctl", "")
        .replace("proto 201", "");
    let replace = format!("ip route replace {theirs} proto 4 table 1001");
    scene.enis.vm.run(&replace)?;
    scene
        .verify(
            3,
            &[
                "eth1 via 172.16.20.9; expected: table 1001, eth1 via 172.16.20.253",
                "missing: -4 route default via 172.16.20.253 dev eth1",
            ],
        )
        .map(drop)
}

#[test]
fn somebody_s_route_that_comes_before_ours_in_our_table() -> Result<()> {
    let scene = Scene::new("")?;
    let add = "ip route add default via 172.16.20.9 dev eth1 table 1001";
    scene.enis.vm.run(add)?;
    scene.verify(
        3,
        &["eth1 via 172.16.20.9; expected: table 1001, eth1 via 172.16.20.253"],
    )?;
    let report = scene.ctl.json("verify")?;
    ensure!(report["differences"] == serde_json::json!([]), "{report}");
    Ok(())
}

#[test]
fn our_rule_missing() -> Result<()> {
    let scene = Scene::new("")?;
    let delete = format!("ip rule del from {} priority 20400", ETH1.addr);
    scene.enis.vm.run(&delete)?;
    scene
        .verify(
            3,
            &[
                "table 254, eth0 via 172.16.10.253; expected: table 1001, eth1",
                "missing: -4 rule from 172.16.20.193 lookup 1001 priority 20400",
            ],
        )
        .map(drop)
}

#[test]
fn something_of_ours_that_is_left_over() -> Result<()> {
    let scene = Scene::new("")?;
    scene
        .enis
        .vm
        .run("ip rule add to 10.9.0.0/16 lookup 1001 priority 20400 protocol 201")?;
    scene
        .verify(
            3,
            &["left over: -4 rule from all to 10.9.0.0/16 lookup 1001 priority 20400"],
        )
        .map(drop)
}

#[test]
fn an_interface_that_is_gone() -> Result<()> {
    let scene = Scene::new("")?;
    scene.enis.unplug(&ETH1)?;
    scene.verify(3, &["WRONG  no interface is eth1"])?;
    let report = scene.ctl.json("verify")?;
    ensure!(report["absent"] == serde_json::json!(["eth1"]), "{report}");
    Ok(())
}

#[test]
fn a_link_that_is_down_is_as_intended_for_nothing_leaks() -> Result<()> {
    let scene = Scene::new("")?;
    scene.enis.vm.ip("link set eth1 down")?;
    scene.verify(0, &["address of eth1", "unreachable", "all as intended"])?;
    let answers = scene.checks("address of eth1")?;
    ensure!(
        answers
            .iter()
            .all(|check| check["answer"] != "no route" && check["expected"] == "unreachable"),
        "{answers:?}"
    );
    // Up again, and nobody has put the routes back that the kernel took.
    scene.enis.vm.ip("link set eth1 up")?;
    scene.verify(3, &["missing: -4 route default via 172.16.20.253 dev eth1"])?;
    scene.ctl.done("apply")?;
    scene.verify(0, &[]).map(drop)
}

#[test]
fn what_was_removed_is_missing() -> Result<()> {
    let scene = Scene::new("")?;
    scene.ctl.done("remove")?;
    scene
        .verify(3, &["missing: -4 rule from 172.16.20.193"])
        .map(drop)
}
