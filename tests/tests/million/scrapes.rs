//! A scrape walks no table: a million flows make it no slower.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use snat_tests::{
    scene::Scene,
    scrape::{self, Scrape},
    wait,
};

use crate::table::{FLOWS, fill, plan};

pub(crate) const METRICS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9469);
/// A sweep over them all, of a build that is not optimised, on a machine that does something else.
const SWEPT: Duration = Duration::from_secs(300);
const SCRAPES: usize = 50;
/// Issue 5 asks for 100 ms: see what is printed. A walk takes many times as long as this.
const MOST: Duration = Duration::from_millis(500);

#[test]
fn a_scrape_is_as_quick_with_a_million_flows_and_knows_them_all() -> Result<()> {
    let scene = plan("xdp").start()?;
    fill(&scene)?;
    wait::until(SWEPT, "a sweep has counted them", || {
        let flows = scrape(&scene)?
            .1
            .value("snat_flows{protocol=\"udp\",state=\"udp\"}")?;
        ensure!(flows == f64::from(FLOWS), "{flows} flows");
        Ok(())
    })?;
    let scrapes: Result<Vec<_>> = (0..SCRAPES).map(|_| Ok(scrape(&scene)?.0)).collect();
    let mut scrapes = scrapes?;
    scrapes.sort_unstable();
    let (median, slowest) = (scrapes[SCRAPES / 2], scrapes[SCRAPES - 1]);
    let sweep = scrape(&scene)?.1.value("snat_sweep_duration_seconds")?;
    eprintln!(
        "{SCRAPES} scrapes: median {median:.1?}, slowest {slowest:.1?}; a sweep: {sweep:.2} s"
    );
    ensure!(median < MOST, "{median:?}");
    Ok(())
}

/// How long it took, and what it brought.
pub(crate) fn scrape(scene: &Scene) -> Result<(Duration, Scrape)> {
    let begun = Instant::now();
    let answer = scrape::get(&scene.topology.gateway.netns, METRICS, "/metrics")?;
    ensure!(answer.code == 200, "{answer:?}");
    Ok((begun.elapsed(), Scrape::parse(&answer.body)?))
}
