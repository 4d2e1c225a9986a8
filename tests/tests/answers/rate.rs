//! Answers are not sent faster than allowed (RFC 1812 §4.3.2.8).

use std::net::SocketAddrV4;

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Tap,
    scene::Plan,
    segment::{ACK, Segment},
    sender::Sender,
    wait,
};

use crate::{PATIENCE, datapaths};

const STRAYS: u64 = 200;
const ALLOWED: u64 = 5;

datapaths! {
    answers_are_no_more_than_allowed_tc: answers_are_limited, "tc";
    answers_are_no_more_than_allowed_xdp: answers_are_limited, "xdp";
}

fn answers_are_limited(datapath: &str) -> Result<()> {
    let sections = format!("\n[limits]\nanswers_per_second = {ALLOWED}\n");
    let scene = Plan {
        sections: &sections,
        ..Plan::routed(datapath)
    }
    .start()?;
    let client = &scene.topology.clients[0];
    let tap = Tap::open(&client.netns, "eth0")?;
    let sender = Sender::open(&client.netns)?;
    let server = SocketAddrV4::new(scene.topology.server.addr, 80);
    let strays: Vec<_> = (0..STRAYS)
        .map(|i| {
            let src = SocketAddrV4::new(client.addr, 4000 + i as u16);
            Segment::new(src, server, ACK).packet()
        })
        .collect();
    let begin = std::time::Instant::now();
    sender.send_all(&strays)?;
    let events = wait::until(PATIENCE, "all are refused", || {
        ensure!(scene.gateway.verdict("tcp_no_flow")? == STRAYS);
        let status = scene.gateway.ctl_json(&["status"])?;
        let event = |name: &str| status["events"][name].as_u64().context("no such event");
        let events = (event("answer_sent")?, event("answer_held_back")?);
        ensure!(events.0 + events.1 == STRAYS, "{events:?}");
        Ok(events)
    })?;
    let seconds = begin.elapsed().as_secs() + 1;
    let mut heard = 0;
    wait::until(PATIENCE, "all answers arrive", || {
        let more = tap.all(|heard| (heard.protocol() == 6).then_some(()))?;
        heard += more.len() as u64;
        ensure!(heard == events.0, "{heard} of {events:?}");
        Ok(())
    })?;
    let most = ALLOWED * (1 + seconds);
    ensure!(
        (ALLOWED..=most).contains(&events.0),
        "{events:?} in {seconds} s"
    );
    Ok(())
}
