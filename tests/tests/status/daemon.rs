//! The daemon and its file.

use std::{
    fs::{self, File},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::{Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use snat_tests::{scene::Plan, wait};

use super::{SOON, expect, ids, is_degraded};

#[test]
fn a_daemon_that_died_or_hangs_is_told_until_it_works_again() -> Result<()> {
    let mut scene = Plan::routed("tc").start()?;
    expect(&scene.gateway, &[])?;
    ensure!(!is_degraded(&scene)?);

    let process = Pid::from_raw(scene.gateway.pid().cast_signed());
    kill(process, Signal::SIGSTOP)?;
    expect(&scene.gateway, &["daemon.hung"])?;
    kill(process, Signal::SIGCONT)?;
    expect(&scene.gateway, &[])?;

    scene.gateway.kill()?;
    expect(&scene.gateway, &["daemon.stopped"])?;
    ensure!(is_degraded(&scene)?);
    scene.gateway.start_again()?;
    expect(&scene.gateway, &[])
}

#[test]
fn a_daemon_that_no_longer_says_that_it_works_is_told() -> Result<()> {
    let scene = Plan::routed("tc").start()?;
    let lock = PathBuf::from("/run/snat").join(format!("{}.lock", scene.gateway.name()));
    wait::until(SOON, "an old stamp is noticed", || {
        let old = SystemTime::now() - Duration::from_secs(3600);
        File::options().write(true).open(&lock)?.set_modified(old)?;
        let ids = ids(&scene.gateway)?;
        ensure!(ids == ["daemon.hung"], "{ids:?}");
        Ok(())
    })?;
    // The daemon stamps it again.
    expect(&scene.gateway, &[])
}

#[test]
fn a_file_that_has_changed_is_a_notice_and_no_problem() -> Result<()> {
    let mut scene = Plan::routed("tc").start()?;
    let text = fs::read_to_string(scene.gateway.config())?;
    fs::write(scene.gateway.config(), text)?;
    let later = SystemTime::now() + Duration::from_secs(2);
    File::options()
        .write(true)
        .open(scene.gateway.config())?
        .set_modified(later)?;
    expect(&scene.gateway, &["config.changed"])?;
    ensure!(!is_degraded(&scene)?);
    let screen = scene.gateway.ctl(&["status", "--interval", "0"])?;
    ensure!(screen.starts_with("ok\n  notice "), "{screen}");
    scene.gateway.stop()?;
    scene.gateway.start_again()?;
    expect(&scene.gateway, &[])
}

#[test]
fn why_the_daemon_does_not_start_again_is_the_last_error() -> Result<()> {
    let mut scene = Plan::routed("tc").start()?;
    scene.gateway.kill()?;
    let gw = &scene.topology.gateway.netns;
    gw.sysctl("net/ipv4/ip_forward", "0")?;
    ensure!(scene.gateway.start_again().is_err(), "it starts");
    let status = scene.gateway.ctl_json(&["status", "--interval", "0"])?;
    let last = status["last_errors"][0]["text"].as_str();
    ensure!(
        last.is_some_and(|text| text.starts_with("run: ") && text.contains("ip_forward is 0")),
        "{status:#}"
    );
    gw.sysctl("net/ipv4/ip_forward", "1")?;
    scene.gateway.start_again()?;
    expect(&scene.gateway, &[])
}
