//! Who answers by which interface, and what is there of it before and after.

use std::collections::BTreeSet;

use anyhow::Result;
use snat_tests::{
    eni::only,
    ping::ping,
    topology::enis::{ETH0, ETH1, SERVER, SERVER6},
};

use super::{Scene, each_answers_by_its_own};

#[test]
fn each_interface_answers_for_itself_until_it_is_taken_back() -> Result<()> {
    let scene = Scene::new("")?;
    scene.enis.refuse_spoofed()?;
    scene.ctl.done("apply")?;
    each_answers_by_its_own(&scene.enis)?;
    scene.remove()?;
    assert!(each_answers_by_its_own(&scene.enis).is_err());
    Ok(())
}

#[test]
fn plan_changes_nothing_and_verify_tells_what_is_missing() -> Result<()> {
    let scene = Scene::new("default_metric = 200")?;
    scene.ctl.done("plan")?;
    scene.snapshot()?.expect_as(&scene.before)?;
    scene.ctl.run("verify")?.expect(3)?;
    scene.ctl.done("apply")?;
    scene.ctl.run("verify")?.expect(0)?;
    let line = format!("ip rule del priority 20400 from {}", ETH1.addr);
    scene.enis.vm.run(&line)?;
    let ended = scene.ctl.run("verify")?.expect(3)?;
    assert!(ended.stdout.contains(&ETH1.addr.to_string()), "{ended}");
    scene.remove()
}

#[test]
fn ten_times_applied_is_once_applied() -> Result<()> {
    let scene = Scene::new("default_metric = 200")?;
    scene.ctl.done("apply")?;
    let once = scene.snapshot()?;
    for _ in 0..9 {
        scene.ctl.done("apply")?;
        scene.snapshot()?.expect_as(&once)?;
    }
    let rules = |family| scene.enis.vm.run(&format!("ip {family} rule show"));
    for text in [rules("-4")?, rules("-6")?] {
        let different: BTreeSet<_> = text.lines().collect();
        assert_eq!(text.lines().count(), different.len(), "{text}");
    }
    for line in scene.before.lines() {
        assert!(once.lines().any(|other| other == line), "{line} has gone");
    }
    scene.remove()
}

#[test]
fn a_default_route_with_a_metric_stands_behind_that_of_the_system() -> Result<()> {
    let scene = Scene::new("default_metric = 200")?;
    let enis = &scene.enis;
    scene.ctl.done("apply")?;
    let own_pings = || -> Result<_> {
        let leaving = enis.leaving(&[ETH0, ETH1])?;
        ping(&enis.vm, SERVER, 1, 2)?;
        let inet = leaving.count()?;
        ping(&enis.vm, SERVER6, 1, 2)?;
        Ok((inet, leaving.count()?))
    };
    let (inet, inet6) = own_pings()?;
    only(&inet, ("eth0", ETH0.addr.into()))?;
    only(&inet6, ("eth0", ETH0.addr6.into()))?;
    enis.vm.ip("link set eth0 down")?;
    let (inet, inet6) = own_pings()?;
    only(&inet, ("eth1", ETH1.addr.into()))?;
    only(&inet6, ("eth1", ETH1.addr6.into())).map(drop)
}
