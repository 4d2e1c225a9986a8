//! What a person sees.

use anyhow::{Result, ensure};
use snat_tests::{
    ping::ping,
    scene::{Plan, Scene},
    topology::Shape,
};

const COLUMNS: usize = 80;
const LINES: usize = 24;

#[test]
fn a_healthy_gateway_is_ok_on_one_screen_xdp_routed() -> Result<()> {
    is_ok(&Plan::routed("xdp").start()?)
}

#[test]
fn a_healthy_gateway_is_ok_on_one_screen_tc_one_arm() -> Result<()> {
    let plan = Plan {
        shape: Shape::OneArm,
        ..Plan::routed("tc")
    };
    is_ok(&plan.start()?)
}

fn is_ok(scene: &Scene) -> Result<()> {
    ping(
        &scene.topology.clients[0].netns,
        scene.topology.server.addr,
        1,
        2,
    )?;
    let screen = scene.gateway.ctl(&["status"])?;
    fits(&screen)?;
    ensure!(screen.starts_with("ok\n\n"), "{screen}");
    for line in [
        "out  ",
        "in  ",
        "dropped     nothing in 1.",
        "standalone; daemon: process",
    ] {
        ensure!(screen.contains(line), "no {line:?}: {screen}");
    }
    let all = scene.gateway.ctl(&["status", "--all", "--interval", "0"])?;
    for row in ["forwarded  translated_out ", "flow_opened "] {
        ensure!(all.contains(row) && !screen.contains(row), "{row:?}: {all}");
    }
    Ok(())
}

#[test]
fn problems_come_first_the_worst_of_all_and_each_says_what_to_do() -> Result<()> {
    let mut scene = Plan::routed("tc").start()?;
    scene.gateway.kill()?;
    scene.topology.gateway.netns.ip("link set eth1 down")?;
    let screen = scene.gateway.ctl(&["status"])?;
    fits(&screen)?;
    let wanted = "degraded: 2 problems\n  \
                  critical  eth1 is down: no packet passes it\n            \
                  -> ip link set eth1 up\n  \
                  problem   no daemon runs: ";
    ensure!(screen.starts_with(wanted), "{screen}");
    Ok(())
}

fn fits(screen: &str) -> Result<()> {
    let wide = screen.lines().find(|line| line.chars().count() > COLUMNS);
    ensure!(wide.is_none(), "{wide:?} is too wide:\n{screen}");
    let lines = screen.lines().count();
    ensure!(lines <= LINES, "{lines} lines:\n{screen}");
    Ok(())
}
