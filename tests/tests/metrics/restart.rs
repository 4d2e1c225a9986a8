//! Counters live through restarts of the daemon, and can be read without it.

use anyhow::{Result, ensure};
use snat_tests::{ping::ping, topology::Shape};

use crate::ground::{printed, served, start};

/// Of the daemon, and so not there without it.
const DAEMONS: [&str; 2] = ["snat_sweep_duration_seconds", "snat_sweep_failures_total"];

#[test]
fn no_counter_goes_back_when_the_daemon_restarts_or_dies() -> Result<()> {
    let mut scene = start("xdp", Shape::Routed)?;
    for round in 0..3 {
        let (client, server) = (&scene.topology.clients[0], &scene.topology.server);
        ping(&client.netns, server.addr, 100 + round, 5)?;
        let before = served(&scene)?;
        if round == 0 {
            scene.gateway.stop()?;
        } else {
            scene.gateway.kill()?;
        }
        let (client, server) = (&scene.topology.clients[0], &scene.topology.server);
        ping(&client.netns, server.addr, 100 + round, 5)?;
        scene.gateway.start_again()?;
        let after = served(&scene)?;
        for (series, value) in before.0.iter().filter(|(series, _)| counts(series)) {
            let now = after.value(series)?;
            ensure!(now >= *value, "{series} was {value}, is {now}");
        }
        let out = "snat_packets_total{direction=\"out\"}";
        let more = after.value(out)? - before.value(out)?;
        ensure!(more == 5.0, "{more} more packets out");
    }
    Ok(())
}

#[test]
fn without_the_daemon_all_but_its_own_is_printed() -> Result<()> {
    let mut scene = start("tc", Shape::Routed)?;
    let (client, server) = (&scene.topology.clients[0], &scene.topology.server);
    ping(&client.netns, server.addr, 7, 5)?;
    let with = served(&scene)?;
    let running = printed(&scene)?.value("snat_daemon_running")?;
    ensure!(running == 1.0, "with the daemon: {running}");

    scene.gateway.stop()?;
    let without = printed(&scene)?;
    let mut expected = with.names();
    expected.retain(|name| !DAEMONS.contains(name));
    ensure!(
        without.names() == expected,
        "{:?}, not {expected:?}",
        without.names()
    );
    ensure!(without.value("snat_daemon_running")? == 0.0, "{without:?}");
    let echo = without.value("snat_flows{protocol=\"icmp\",state=\"echo\"}")?;
    ensure!(echo == 1.0, "{echo} flows");
    let out = without.value("snat_packets_total{direction=\"out\"}")?;
    ensure!(out == 5.0, "{out} packets out");
    Ok(())
}

fn counts(series: &str) -> bool {
    let name = series.split('{').next().unwrap_or_default();
    name.ends_with("_total") && !DAEMONS.contains(&name)
}
