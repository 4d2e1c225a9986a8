//! An ENI that is pulled out of a gateway and plugged in again.

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Capture, Direction},
    eni::{expect_by_eth1, seen_as},
    topology::two_enis::{ETH0, ETH1, plug_eth1},
};

use crate::gateway::Gateway;

#[test]
fn flows_of_an_eni_that_is_pulled_wait_for_it_and_leave_by_no_other_xdp() -> Result<()> {
    pulled("xdp")
}

#[test]
fn flows_of_an_eni_that_is_pulled_wait_for_it_and_leave_by_no_other_tc() -> Result<()> {
    pulled("tc")
}

fn pulled(datapath: &str) -> Result<()> {
    let gateway = Gateway::sharing(datapath, [1, 1])?;
    let clients = &gateway.clients;
    let isp = &gateway.scene().topology.fabric[1];
    let by_eth0 = Capture::start(isp, "gw0")?;
    let first = clients.ask(10_000..10_400)?;
    let [stays, waits] = [ETH0, ETH1].map(|addr| seen_as(addr, &first));
    ensure!(!stays.is_empty() && !waits.is_empty(), "all by one");

    gateway.netns().ip("link del eth1")?;
    clients.expect_same(&stays)?;
    clients.expect_silence(waits.keys().copied().take(20))?;
    let told = gateway.scene().gateway.verdict("unreachable")?;
    ensure!(told > 0, "nobody was told why");
    clients.expect_same(&stays)?;

    plug_eth1(gateway.netns(), isp)?;
    clients.expect_answers(&waits).context("with eth1 again")?;
    clients.expect_same(&first)?;
    expect_by_eth1(&clients.ask(20_000..30_000)?, 50.0)?;

    let sources = by_eth0.finish()?.sources(Direction::In);
    ensure!(sources.keys().eq([&ETH0]), "by eth0: {sources:?}");
    Ok(())
}
