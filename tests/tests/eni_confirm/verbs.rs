//! What else can happen while a change waits to be confirmed.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::getsid;
use snat_tests::wait;

use super::{GIVEN, SOON, Scene, apply_for, blackhole};

#[test]
fn what_is_confirmed_stays() -> Result<()> {
    let scene = Scene::applied()?;
    scene.try_for(Duration::from_secs(30), &blackhole())?;
    scene.ctl.done("confirm")?;
    let changed = scene.snapshot()?;
    // It goes without having done anything: nobody is left to do it later.
    scene.without_guard()?;
    scene.snapshot()?.expect_as(&changed)?;
    scene.expect_something_else()?;
    scene.ctl.done("verify")?;
    scene
        .ctl
        .run("confirm")?
        .expect(1)?
        .says(&["nothing waits to be confirmed"])
        .map(drop)
}

#[test]
fn what_is_reverted_is_taken_back_at_once() -> Result<()> {
    let scene = Scene::applied()?;
    scene.ctl.configure(&blackhole())?;
    scene.ctl.done("apply --confirm 1h")?;
    scene.expect_something_else()?;
    scene.ctl.done("revert")?;
    scene.snapshot()?.expect_as(&scene.before)?;
    scene.without_guard()?;
    scene
        .ctl
        .run("revert")?
        .expect(1)?
        .says(&["nothing waits to be confirmed"])
        .map(drop)
}

#[test]
fn a_second_change_waits_for_the_first() -> Result<()> {
    let scene = Scene::applied()?;
    scene.ctl.configure(&blackhole())?;
    scene.ctl.done("apply --confirm 1h")?;
    let first = scene.snapshot()?;
    for verb in ["apply", "apply --confirm 5s"] {
        let refused = scene.ctl.run(verb)?.expect(1)?;
        refused.says(&["still waits to be confirmed", "eni confirm", "eni revert"])?;
    }
    scene.snapshot()?.expect_as(&first)?;
    let status = scene.ctl.json("status")?;
    let left = status["taken_back_in"].as_u64().context("not told")?;
    ensure!((3500..=3600).contains(&left), "{left} s left of an hour");
    scene.ctl.done("revert")?;
    ensure!(scene.ctl.json("status")?["taken_back_in"].is_null());
    Ok(())
}

#[test]
fn what_waits_can_be_removed() -> Result<()> {
    let scene = Scene::bare()?;
    scene.ctl.done("apply --confirm 1h")?;
    scene.expect_something_else()?;
    scene.ctl.done("remove")?;
    scene.snapshot()?.expect_as(&scene.before)?;
    scene.without_guard()
}

#[test]
fn the_first_change_of_all_leaves_nothing_behind() -> Result<()> {
    let scene = Scene::bare()?;
    let begin = scene.try_for(GIVEN, &blackhole())?;
    ensure!(files_of(&scene)? != 0, "nothing is noted while it waits");
    scene.expect_something_else()?;
    scene.taken_back(begin, GIVEN)?;
    wait::until(SOON, "no file is left", || {
        let files = files_of(&scene)?;
        ensure!(files == 0, "{files} files in /run/snat");
        Ok(())
    })?;
    let status = scene.ctl.json("status")?;
    ensure!(status["applied"] == false, "{status}");
    Ok(())
}

#[test]
fn the_guard_outlives_the_terminal() -> Result<()> {
    let scene = Scene::applied()?;
    scene.ctl.configure(&blackhole())?;
    // An operator's shell on a terminal of its own, whose other end then breaks.
    let apply = format!("{:?}; sleep 60", scene.ctl.command(&apply_for(GIVEN)));
    let begin = Instant::now();
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &apply, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .context("starting `script` of util-linux")?;
    let guard = wait::until(GIVEN, "the change", || {
        scene.expect_something_else()?;
        scene.guard()?.context("no guard")
    })?;
    let session = getsid(Some(guard))?;
    terminal.kill()?;
    terminal.wait()?;
    ensure!(session == guard, "the guard is of the terminal's session");
    scene.taken_back(begin, GIVEN)
}

#[test]
fn a_time_that_is_none_is_wrong_usage() -> Result<()> {
    let scene = Scene::applied()?;
    scene.ctl.configure(&blackhole())?;
    for time in ["0s", "500ms", "25h", "60", "soon", "-5s"] {
        let wrong = scene.ctl.run(&format!("apply --confirm={time}"))?;
        wrong.expect(2)?.says(&["--confirm", time])?;
    }
    scene.ctl.run("apply --confirm")?.expect(2)?;
    scene.snapshot()?.expect_as(&scene.before)?;
    ensure!(scene.ctl.json("status")?["taken_back_in"].is_null());
    scene.without_guard()
}

#[test]
fn a_change_that_is_refused_does_not_wait() -> Result<()> {
    let scene = Scene::applied()?;
    scene
        .ctl
        .configure("[[eni]]\nmatch = { name = \"eth9\" }\n")?;
    scene.ctl.run("apply --confirm 1h")?.expect(1)?;
    ensure!(scene.ctl.json("status")?["taken_back_in"].is_null());
    scene.snapshot()?.expect_as(&scene.before)?;
    scene.without_guard()
}

/// Files of this namespace under /run/snat.
fn files_of(scene: &Scene) -> Result<usize> {
    let cookie = scene.enis.vm.enter(|| Ok(snat_ctl::netns::cookie()?))?;
    let ours = format!("eni-{cookie}.");
    let Ok(files) = fs::read_dir("/run/snat") else {
        return Ok(0);
    };
    let names = files.flatten().map(|file| file.file_name());
    Ok(names
        .filter(|name| name.to_string_lossy().starts_with(&ours))
        .count())
}
