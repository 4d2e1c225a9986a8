//! What is done to the gateway while it works.

mod daemon;
mod jump;
mod looks;
mod network;
mod strangers;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use fastrand::Rng;

use super::{clock::WallClock, load::Load};
use crate::{gateway::Gateway, ping::ping, topology::Topology, wait};

/// Longer than any disturbance may be felt.
const RECOVERY: Duration = Duration::from_secs(20);
/// What changes beside the gateway is followed within a second: a flow's next hop is cached until the daemon has heard.
const FOLLOWED: Duration = Duration::from_secs(1);
/// Ordinary pings use identifiers that the kernel chooses.
const PROBE: u16 = 9;

/// One kind of it. A new one is a function and its line in [`ALL`].
pub(super) struct Disturbance {
    /// What is told of it.
    pub(super) name: &'static str,
    /// Whether it costs packets, as a link that is down does. Of the others none may be lost.
    loses: bool,
    act: fn(&mut World<'_>) -> Result<()>,
}

/// Every kind; a round has each of them once.
pub(super) const ALL: &[Disturbance] = &[
    calm("daemon restarted", daemon::restart),
    calm("daemon killed with -9", daemon::crash),
    calm("daemon held up", daemon::hang),
    calm("daemon restarted with changes", daemon::reconfigure),
    calm("changes applied", daemon::apply),
    calm("wall clock set and set back", jump::jump),
    calm("asked by an operator", looks::look),
    calm("strangers' packets", strangers::knock),
    calm("neighbours forgotten", network::forget_neighbours),
    calm("default route replaced", network::replace_route),
    calm("address added and removed", network::add_address),
    rough("external address gone and back", network::remove_address),
    rough("router's MAC changed", network::change_mac),
    rough("MTU lowered and raised", network::change_mtu),
    rough("outer link down and up", network::flap_outside),
    rough("inner link down and up", network::flap_inside),
    rough("gateway's interface down and up", network::flap_own),
    rough("killed while the link was down", daemon::crash_while_down),
];

/// What a disturbance works on.
pub(super) struct World<'a> {
    pub(super) gateway: &'a mut Gateway,
    pub(super) topology: &'a Topology,
    pub(super) load: &'a Load,
    pub(super) clock: &'a WallClock,
    pub(super) rng: Rng,
}

impl Disturbance {
    /// Does it, and waits until both clients reach the server again. Returns how long the wait was.
    pub(super) fn happen(&self, world: &mut World<'_>) -> Result<Duration> {
        let rough = self.loses.then(|| world.load.weather.rough());
        (self.act)(world)?;
        let begin = Instant::now();
        for client in &world.topology.clients {
            let reach = || ping(&client.netns, world.topology.server.addr, PROBE, 1);
            let reached = match rough {
                Some(_) => wait::until(RECOVERY, "a client reaches the server again", reach),
                None => reach(),
            };
            reached.with_context(|| client.addr.to_string())?;
        }
        let recovery = begin.elapsed();
        if let Some(rough) = rough {
            thread::sleep(FOLLOWED);
            drop(rough);
        }
        Ok(recovery)
    }
}

impl World<'_> {
    /// Lets so many milliseconds pass, chosen by chance.
    fn pass(&mut self, millis: std::ops::Range<u64>) {
        thread::sleep(Duration::from_millis(self.rng.u64(millis)));
    }
}

const fn calm(name: &'static str, act: fn(&mut World<'_>) -> Result<()>) -> Disturbance {
    Disturbance {
        name,
        loses: false,
        act,
    }
}

const fn rough(name: &'static str, act: fn(&mut World<'_>) -> Result<()>) -> Disturbance {
    Disturbance {
        name,
        loses: true,
        act,
    }
}
