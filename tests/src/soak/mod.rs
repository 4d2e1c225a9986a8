//! A mixed load through a gateway that is disturbed all the while, in an order that a seed decides.
//!
//! Every byte is compared where it arrives, every packet's checksums are verified on the server's wire. A connection
//! that breaks, a damaged byte, or a datagram lost while no link was disturbed ends it. Afterwards nothing may be left.

mod clock;
mod disturb;
mod ground;
mod left;
mod load;
mod verdict;
mod weather;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;

pub use load::Carried;
pub use verdict::{Progress, Row, Verdict};

use self::{
    clock::WallClock,
    disturb::{ALL, World},
    left::{Before, Meanwhile},
    load::Load,
};
use crate::{
    capture::{Capture, Direction},
    scene::Scene,
};

/// Pauses between two disturbances, in milliseconds.
const PAUSE: std::ops::Range<u64> = 100..500;
/// Of the router next to the server, which says when it does not reach the gateway.
const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Soak {
    /// How long the load shall go on. Rounds are finished: each has every disturbance once.
    pub time: Duration,
    /// Decides about all that chance decides about; not about what takes how long.
    pub seed: u64,
    /// `xdp`, `xdp-generic` or `tc`.
    pub datapath: String,
}

/// What the disturbances came to.
#[derive(Default)]
struct Storm {
    steps: u32,
    last: &'static str,
    counts: BTreeMap<&'static str, u32>,
    longest_recovery: Duration,
    meanwhile: Meanwhile,
}

impl Soak {
    /// Runs it and calls `tell` after each disturbance. What goes wrong in it is in the verdict.
    ///
    /// # Errors
    /// The network could not be built, or the gateway in it not be started.
    pub fn run(&self, tell: &mut dyn FnMut(&Progress)) -> Result<Verdict> {
        let clock = WallClock::new()?;
        let mut scene = ground::build(&self.datapath, &clock)?;
        let before = Before::of(&scene.gateway)?;
        let wire = Capture::start(&scene.topology.server.netns, "eth0")?;
        let load = Load::default();
        let mut storm = Storm::default();
        let begin = Instant::now();
        let carried = self.weather_it(&mut scene, (&load, &clock), &mut storm, tell);
        let seconds = begin.elapsed().as_secs_f64();
        let carried = carried.with_context(|| format!("seed {}, step {}", self.seed, storm.steps));
        let daemon_log = carried.is_err().then(|| scene.gateway.log());
        let survived = carried.is_ok();
        let mut rows = vec![
            Row::of("every transfer, every byte", carried),
            Row::of(
                "packets at the server",
                wire.finish().and_then(|report| sound(&report)),
            ),
        ];
        // What a broken run leaves behind would only hide what broke it.
        if survived {
            rows.extend(before.compare(&scene.gateway, &storm.meanwhile)?);
            rows.push(left::after_unload(&mut scene.gateway, &storm.meanwhile));
        }
        Ok(Verdict {
            seed: self.seed,
            datapath: self.datapath.clone(),
            seconds,
            steps: storm.steps,
            disturbances: storm.counts,
            longest_recovery_seconds: storm.longest_recovery.as_secs_f64(),
            carried: load.carried(),
            ok: rows.iter().all(|row| row.ok),
            rows,
            daemon_log,
        })
    }

    /// Load and disturbances. Returns with both at their end.
    fn weather_it(
        &self,
        scene: &mut Scene,
        (load, clock): (&Load, &WallClock),
        storm: &mut Storm,
        tell: &mut dyn FnMut(&Progress),
    ) -> Result<String> {
        let Scene { gateway, topology } = scene;
        let topology = &*topology;
        let disturbed = thread::scope(|servers| {
            let disturbed = load.serve(servers, topology).and_then(|()| {
                thread::scope(|clients| {
                    load.start(clients, topology, self.seed);
                    let rng = Rng::with_seed(self.seed);
                    let mut world = World {
                        gateway,
                        topology,
                        load,
                        clock,
                        rng,
                    };
                    let disturbed = self.disturb(&mut world, storm, tell);
                    load.stop();
                    disturbed
                })
            });
            load.close();
            disturbed
        });
        // The load's failure is nearer to the cause.
        let failed = load.failure().map_or(disturbed, Err);
        failed.with_context(|| format!("during or soon after: {}", storm.last))?;
        let carried = load.carried();
        ensure!(
            carried.transfers > 0 && carried.fragmented > 0 && carried.pings > 0,
            "the load did not run: {carried:?}"
        );
        Ok(format!(
            "{} transfers, none broken or damaged",
            carried.transfers
        ))
    }

    fn disturb(
        &self,
        world: &mut World<'_>,
        storm: &mut Storm,
        tell: &mut dyn FnMut(&Progress),
    ) -> Result<()> {
        let begin = Instant::now();
        storm.meanwhile.look(world.gateway)?;
        loop {
            let mut round: Vec<_> = ALL.iter().collect();
            world.rng.shuffle(&mut round);
            for disturbance in round {
                let millis = world.rng.u64(PAUSE);
                thread::sleep(Duration::from_millis(millis));
                storm.steps += 1;
                storm.last = disturbance.name;
                let recovery = disturbance.happen(world)?;
                *storm.counts.entry(disturbance.name).or_default() += 1;
                storm.longest_recovery = storm.longest_recovery.max(recovery);
                storm.meanwhile.look(world.gateway)?;
                tell(&Progress {
                    elapsed: begin.elapsed(),
                    step: storm.steps,
                    what: disturbance.name,
                    recovery,
                    carried: world.load.carried(),
                });
                if world.load.has_failed() {
                    return Ok(());
                }
            }
            if begin.elapsed() >= self.time {
                return Ok(());
            }
        }
    }
}

/// Every checksum right, and nothing from a client's own address.
fn sound(report: &crate::capture::Report) -> Result<String> {
    report.expect_sound()?;
    let ours = ground::EXTERNALS.map(Ipv4Addr::from);
    let sources = report.sources(Direction::In);
    ensure!(
        sources
            .keys()
            .all(|source| ours.contains(source) || *source == ROUTER),
        "packets came from {sources:?}"
    );
    Ok(format!(
        "{}, every checksum right, none untranslated",
        report.total()
    ))
}
