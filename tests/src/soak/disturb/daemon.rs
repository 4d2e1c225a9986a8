//! What happens to the daemon. Each start replaces the programs, as an upgrade does.

use std::fs;

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{World, network};

/// What configurations differ in. None of it ends a flow of ours.
const VARIANTS: [&str; 3] = [
    "[[forward]]\nprotocol = \"tcp\"\nexternal = \"203.0.113.10:8443\"\ninternal = \"172.16.1.11:443\"\n",
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

pub(super) fn reconfigure(world: &mut World<'_>) -> Result<()> {
    let config = world.gateway.config().to_owned();
    let base = fs::read_to_string(&config).context("reading the configuration")?;
    let variant = VARIANTS[world.rng.usize(..VARIANTS.len())];
    fs::write(&config, format!("{base}\n{variant}"))?;
    restart(world)?;
    world.pass(200..1000);
    fs::write(&config, base)?;
    restart(world)
}

pub(super) fn crash_while_down(world: &mut World<'_>) -> Result<()> {
    world.gateway.kill()?;
    network::flap_outside(world)?;
    world.gateway.start_again()
}
