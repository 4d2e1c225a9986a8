//! What happens to the daemon. Each start replaces the programs, as an upgrade does.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{World, network};

/// What configurations differ in. None of it ends a flow of the load: a port below 1024 is nobody's.
const VARIANTS: [&str; 3] = [
    "[[forward]]\nprotocol = \"tcp\"\nexternal = \"203.0.113.10:443\"\ninternal = \"172.16.1.11:443\"\n",
    "[[bypass]]\ndestination = [\"192.0.2.0/24\"]\n",
    "[limits]\nflows_per_source = 2000\nnew_flows_per_source = 5000\n",
];

pub(super) fn restart(world: &mut World<'_>) -> Result<()> {
    world.gateway.stop()?;
    world.pass(0..1500);
    world.gateway.start_again()
}

pub(super) fn crash(world: &mut World<'_>) -> Result<()> {
    world.gateway.kill()?;
    world.pass(0..1500);
    world.gateway.start_again()
}

/// As on a machine that is out of time: neither sweeps nor follows the network.
pub(super) fn hang(world: &mut World<'_>) -> Result<()> {
    let pid = Pid::from_raw(world.gateway.pid().cast_signed());
    kill(pid, Signal::SIGSTOP)?;
    world.pass(500..2500);
    Ok(kill(pid, Signal::SIGCONT)?)
}

/// By a restart.
pub(super) fn reconfigure(world: &mut World<'_>) -> Result<()> {
    with_variant(world, restart)
}

/// While it runs.
pub(super) fn apply(world: &mut World<'_>) -> Result<()> {
    with_variant(world, |world| {
        let config = world.gateway.config().display().to_string();
        let outcome = world.gateway.ctl_json(&["apply", "--config", &config])?;
        ensure!(
            outcome["flows_ended"] == 0,
            "flows that are still allowed were ended: {outcome}"
        );
        Ok(())
    })
}

/// Has another configuration taken, and the first one again.
fn with_variant(world: &mut World<'_>, take: impl Fn(&mut World<'_>) -> Result<()>) -> Result<()> {
    let config = world.gateway.config().to_owned();
    let base = fs::read_to_string(&config).context("reading the configuration")?;
    let variant = VARIANTS[world.rng.usize(..VARIANTS.len())];
    fs::write(&config, format!("{base}\n{variant}"))?;
    take(world)?;
    world.pass(200..1000);
    fs::write(&config, base)?;
    take(world)
}

pub(super) fn crash_while_down(world: &mut World<'_>) -> Result<()> {
    world.gateway.kill()?;
    network::flap_outside(world)?;
    world.gateway.start_again()
}
