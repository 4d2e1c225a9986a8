//! SIGHUP, and `apply` without a daemon.

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use snat_tests::{scene::Scene, traffic::ECHO, udp::UdpEcho, wait};

use crate::ground::{
    PATIENCE, SECOND, apply, connection, datagrams, edit, listen, seen_as, speaks, text,
    two_addresses, write,
};

#[test]
fn a_half_written_file_leaves_the_old_one_at_work_and_is_told() -> Result<()> {
    let scene = two_addresses("tc").start()?;
    let listener = listen(&scene, 5001)?;
    let client = scene.topology.clients[0].addr;
    let mut connection = connection(&scene, &listener, client)?;
    let whole = text(&scene)?;
    write(&scene, &whole[..whole.len() / 2])?;
    hang_up(&scene)?;
    let status = wait::until(PATIENCE, "status tells that the file was refused", || {
        let status = scene.gateway.ctl_json(&["status", "--interval", "0"])?;
        let mut problems = status["problems"].as_array().context("problems")?.iter();
        ensure!(
            problems.any(|problem| problem["id"] == "config.refused"),
            "{status}"
        );
        Ok(status)
    })?;
    let errors = status["last_errors"].to_string();
    ensure!(errors.contains("reload"), "{errors}");
    said(&scene, "warning: reload")?;
    speaks(&mut connection)?;

    // Whole again, and with a change.
    write(
        &scene,
        &whole.replace("tcp_closing = \"2s\"", "tcp_closing = \"3s\""),
    )?;
    hang_up(&scene)?;
    wait::until(PATIENCE, "it is applied", || {
        let status = scene.gateway.ctl_json(&["status", "--interval", "0"])?;
        ensure!(
            !status["problems"].to_string().contains("config."),
            "{status}"
        );
        Ok(())
    })?;
    said(&scene, "reloaded: ~ timeouts.tcp_closing: 2s -> 3s")?;
    speaks(&mut connection)
}

fn said(scene: &Scene, what: &str) -> Result<()> {
    wait::until(PATIENCE, "the daemon says it", || {
        let log = scene.gateway.log();
        ensure!(log.contains(what), "no {what:?} in {log}");
        Ok(())
    })
}

fn hang_up(scene: &Scene) -> Result<()> {
    let pid = Pid::from_raw(scene.gateway.pid().cast_signed());
    Ok(kill(pid, Signal::SIGHUP)?)
}

#[test]
fn apply_works_with_the_daemon_stopped() -> Result<()> {
    let mut scene = two_addresses("xdp").start()?;
    let _echo = UdpEcho::start(&scene.topology.server.netns, ECHO)?;
    let listener = listen(&scene, 5001)?;
    let client = scene.topology.clients[0].addr;
    let mut connection = connection(&scene, &listener, client)?;
    scene.gateway.stop()?;
    edit(
        &scene,
        "[\"203.0.113.10\", \"203.0.113.11\"]",
        "[\"203.0.113.11\", \"203.0.113.12\"]",
    )?;
    let outcome = apply(&scene)?;
    let first = outcome["flows_ended"].as_u64().context("flows_ended")?;
    ensure!(speaks(&mut connection).is_ok() == (first == 0), "{outcome}");
    let seen = seen_as(&datagrams(&scene, 4600, ECHO)?)?;
    ensure!(*seen.ip() >= SECOND, "{seen}");
    // A daemon that starts then finds nothing to do.
    scene.gateway.start_again()?;
    let outcome = apply(&scene)?;
    ensure!(
        outcome["changes"].as_array().is_some_and(Vec::is_empty),
        "{outcome}"
    );
    Ok(())
}
