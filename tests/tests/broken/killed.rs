//! A start that is killed at any moment leaves what a next one makes good.

use std::{process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{Gateway, other_build, program},
    ping::ping,
    scene::Plan,
};

use super::unnoticed;

/// Moments, over the time that a start takes.
const STEPS: u32 = 12;

#[test]
fn a_start_that_is_killed_half_way_changes_nothing_for_what_is_at_work() -> Result<()> {
    unnoticed(|gateway| {
        let newer = other_build()?;
        let links = gateway.objects()?.links;
        let lasts = time_of_a_start(gateway)?;
        for step in 1..=STEPS {
            let program = if step % 2 == 0 {
                program()?
            } else {
                newer.to_path_buf()
            };
            kill_after(gateway, &program, lasts * step / STEPS)?;
            ensure!(gateway.objects()?.links == links, "after step {step}");
            ensure!(gateway.ctl(&["flows"]).is_ok(), "after step {step}");
        }
        gateway.start_again().context("after all that")?;
        ensure!(!gateway.pins().join("next").exists(), "something is left");
        gateway.stop()
    })
}

#[test]
fn after_a_first_start_that_is_killed_half_way_the_next_one_works() -> Result<()> {
    let mut scene = Plan::routed("xdp").start()?;
    let gateway = &mut scene.gateway;
    gateway.stop()?;
    let lasts = time_of_a_start(gateway)?;
    for step in 1..=STEPS {
        gateway.ctl(&["unload"])?;
        kill_after(gateway, &program()?, lasts * step / STEPS)?;
        gateway
            .start_again()
            .with_context(|| format!("after step {step}"))?;
        ping(
            &scene.topology.clients[0].netns,
            scene.topology.server.addr,
            1,
            1,
        )?;
        gateway.stop()?;
    }
    Ok(())
}

fn time_of_a_start(gateway: &mut Gateway) -> Result<Duration> {
    let begun = std::time::Instant::now();
    gateway.start_again()?;
    let lasts = begun.elapsed();
    gateway.stop()?;
    Ok(lasts)
}

fn kill_after(gateway: &Gateway, program: &std::path::Path, time: Duration) -> Result<()> {
    let mut run = snat_tests::netns::command(gateway.netns(), program);
    let run = run.args(["run", "--config"]).arg(gateway.config());
    let mut run = run.stderr(Stdio::null()).spawn()?;
    thread::sleep(time);
    run.kill()?;
    run.wait().map(drop).context("waiting for its end")
}
