//! A flood of SYNs.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    ping::ping,
    scene::Plan,
    segment::{SYN, Segment},
    sender::{Sender, speak_for},
    session::{LineServer, Session},
    wait,
};

const QUOTA: u64 = 500;
const FLOOD: u16 = 20_000;

#[test]
fn a_flood_of_syns_fills_its_sender_s_quota_and_nothing_else_xdp() -> Result<()> {
    flood("xdp")
}

#[test]
fn a_flood_of_syns_fills_its_sender_s_quota_and_nothing_else_tc() -> Result<()> {
    flood("tc")
}

fn flood(datapath: &str) -> Result<()> {
    let scene = Plan {
        gateway: "max_flows = 4096",
        sections: "\n[limits]\nflows_per_source = 500\n",
        ..Plan::routed(datapath)
    }
    .start()?;
    let server = &scene.topology.server;
    let [noisy, quiet] = &scene.topology.clients;
    let _lines = LineServer::start(&server.netns, 22)?;
    speak_for(&server.netns, 80, 80)?;
    ping(&noisy.netns, server.addr, 9, 1)?;
    let ssh = SocketAddrV4::new(server.addr, 22);
    let session = Session::open(&quiet.netns, ssh)?;
    let sender = Sender::open(&noisy.netns)?;
    for number in 0..FLOOD {
        let from = SocketAddrV4::new(noisy.addr, 1024 + number);
        let to = SocketAddrV4::new(server.addr, 80);
        sender.send(&Segment::new(from, to, SYN).packet())?;
        if number % 5000 == 2500 {
            let other = Session::open(&quiet.netns, ssh).context("amid the flood")?;
            other.finish()?;
        }
    }
    wait::until(Duration::from_secs(5), "it has its quota", || {
        let mut flows = scene.gateway.flows()?;
        flows.retain(|flow| flow.client == noisy.addr);
        ensure!(flows.len() as u64 == QUOTA, "{} flows", flows.len());
        Ok(())
    })?;
    // Not each of them: a queue on the way may be too short for so many at once.
    let refused = scene.gateway.verdict("source_limit")?;
    ensure!(refused > QUOTA, "only {refused} were refused");
    session.finish().context("the connection that was there")?;
    ensure!(scene.gateway.verdict("table_full")? == 0);
    ensure!(scene.gateway.verdict("share_limit")? == 0);
    Ok(())
}
