//! `kill -9` of the process that applies, at any step, and of the one that waits.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_ctl::{eni::Host, eni::Store};
use snat_tests::{
    eni::section,
    topology::enis::{ETH0, ETH1},
    wait,
};

use super::{GIVEN, Scene, apply_for, blackhole, example};

/// How many rules the long change makes.
const RULES: usize = 500;
/// The time to confirm it, twenty times.
const SHORT: Duration = Duration::from_secs(2);

#[test]
fn whoever_applies_is_killed_at_twenty_steps() -> Result<()> {
    let scene = Scene::applied()?;
    let present = our_rules(&scene)?;
    scene.ctl.configure(&long_change())?;
    let mut interrupted = 0;
    for step in 0..20 {
        let begin = Instant::now();
        let rules = kill_when(&scene, present + 1 + step * RULES / 30)?;
        println!("killed with {rules} rules there");
        if rules < present + RULES {
            interrupted += 1;
        }
        scene
            .taken_back(begin, SHORT)
            .with_context(|| format!("killed with {rules} rules there"))?;
        scene.without_guard()?;
    }
    println!("{interrupted} of 20 were killed before the last rule");
    ensure!(interrupted > 0, "every change was complete when killed");
    Ok(())
}

#[test]
fn the_daemon_takes_back_what_a_killed_guard_does_not() -> Result<()> {
    let scene = Scene::applied()?;
    let daemon = scene.ctl.daemon()?;
    let begin = scene.try_for(GIVEN, &blackhole())?;
    scene.kill_guard()?;
    scene.taken_back(begin, GIVEN)?;
    let log = daemon.log();
    ensure!(log.contains("not confirmed in time"), "{log}");
    Ok(())
}

#[test]
fn a_daemon_that_comes_later_takes_back_what_a_killed_guard_did_not() -> Result<()> {
    let scene = Scene::applied()?;
    overdue(&scene)?;
    scene.ctl.configure(&example())?;
    let _daemon = scene.ctl.daemon()?;
    scene.snapshot()?.expect_as(&scene.before)
}

#[test]
fn without_a_daemon_it_is_told_and_the_next_apply_begins_with_taking_it_back() -> Result<()> {
    let scene = Scene::applied()?;
    overdue(&scene)?;
    let status = scene.ctl.done("status")?;
    ensure!(status.contains("not confirmed in time"), "{status}");
    for verb in ["plan", "verify", "status"] {
        scene.ctl.run(verb)?;
        scene.expect_something_else()?;
    }
    scene.ctl.configure(&example())?;
    let applied = scene.ctl.run("apply")?.expect(0)?;
    ensure!(applied.stdout.contains("nothing to change"), "{applied}");
    applied.says(&["taken back", "not confirmed in time"])?;
    scene.snapshot()?.expect_as(&scene.before)
}

#[test]
fn without_a_daemon_revert_takes_it_back_and_confirm_keeps_it() -> Result<()> {
    let scene = Scene::applied()?;
    overdue(&scene)?;
    scene.ctl.done("revert")?;
    scene.snapshot()?.expect_as(&scene.before)?;
    overdue(&scene)?;
    scene.ctl.done("confirm")?;
    scene.ctl.done("apply")?;
    scene.expect_something_else()
}

/// A change whose time is over, and nobody is there to take it back.
fn overdue(scene: &Scene) -> Result<()> {
    scene.try_for(GIVEN, &blackhole())?;
    scene.kill_guard()?;
    wait::until(GIVEN * 2, "deadline", || {
        let pending = scene.enis.vm.enter(|| Store::open()?.pending())?;
        let left = pending.context("nothing waits")?.left();
        ensure!(left.is_zero(), "{left:?} left");
        Ok(())
    })?;
    scene.expect_something_else()
}

/// Two interfaces, and many rules.
fn long_change() -> String {
    let prefixes: Vec<_> = (0..RULES)
        .map(|n| format!("10.{}.{}.0/24", n / 256, n % 256))
        .collect();
    section(&ETH0, "") + &section(&ETH1, &format!("prefixes = {prefixes:?}"))
}

/// Applies, and kills the process once so many rules of ours are there. How many there are then.
fn kill_when(scene: &Scene, rules: usize) -> Result<usize> {
    let mut command = scene.ctl.command(&apply_for(SHORT));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut apply = command.spawn()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    // Without a pause: a step takes less than any.
    let enough = scene.enis.vm.enter(|| {
        while Host::read()?.our_rules().count() < rules {
            ensure!(Instant::now() < deadline, "fewer than {rules} rules");
        }
        Ok(())
    });
    apply.kill()?;
    apply.wait()?;
    enough?;
    our_rules(scene)
}

fn our_rules(scene: &Scene) -> Result<usize> {
    let host = scene.enis.vm.enter(|| Ok(Host::read()?))?;
    Ok(host.our_rules().count())
}
