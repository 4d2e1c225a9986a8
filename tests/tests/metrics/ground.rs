//! What these tests have in common: a gateway with `[metrics]`.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use anyhow::{Result, ensure};
use snat_tests::{
    scene::{Plan, Scene},
    scrape::{self, Scrape},
    topology::Shape,
    wait,
};

/// Where it serves them.
pub(crate) const LOOPBACK: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9469);
/// Longer than a sweep may be away.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// All that is needed in the configuration.
pub(crate) const METRICS: &str = "\n[metrics]\n";

/// A gateway that serves them on its loopback, all of them.
pub(crate) fn start(datapath: &str, shape: Shape) -> Result<Scene> {
    let plan = Plan {
        shape,
        sections: METRICS,
        ..Plan::routed(datapath)
    };
    let scene = plan.start()?;
    wait::until(SOON, "the first sweep has counted", || {
        served(&scene)?.value("snat_census_timestamp_seconds")
    })?;
    Ok(scene)
}

/// What it serves now.
pub(crate) fn served(scene: &Scene) -> Result<Scrape> {
    let answer = scrape::get(&scene.topology.gateway.netns, LOOPBACK, "/metrics")?;
    ensure!(answer.code == 200, "{answer:?}");
    Scrape::parse(&answer.body)
}

/// What `snat-ctl metrics` prints.
pub(crate) fn printed(scene: &Scene) -> Result<Scrape> {
    Scrape::parse(&scene.gateway.ctl(&["metrics"])?)
}
