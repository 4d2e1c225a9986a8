//! Each word selects what it says.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use snat_tests::wait;

use crate::ground::{BUSY, Ground, SERVER, at, socket};

const ALL: &[&str] = &["busy", "calm", "other", "ping", "session", "syn"];

#[test]
fn every_filter_selects_the_flows_it_names_and_no_other() -> Result<()> {
    let mut ground = Ground::start("tc")?;
    for daemon in ["running", "stopped"] {
        let external_port = port_of(&ground, "calm")?;
        for (arguments, wanted) in [
            (&[][..], ALL),
            (&["--source", "172.16.1.11"], &["busy", "calm", "syn"]),
            (
                &["--source", "172.16.1.12/32"],
                &["other", "ping", "session"],
            ),
            (&["--source", "172.16.0.0/16"], ALL),
            (&["--source", "172.16.1.11,172.16.1.12"], ALL),
            (&["--source", "198.51.100.0/24"], &[]),
            (&["--destination", "198.51.100.30"], &["other"]),
            (&["--destination", "198.51.100.0/24"], ALL),
            (&["--external", "203.0.113.10"], ALL),
            (&["--external", "203.0.113.11"], &[]),
            (
                &["--external-port", &external_port, "--protocol", "udp"],
                &["calm"],
            ),
            (&["--port", "7"], &["busy", "calm", "other"]),
            (&["--port", "7,22"], &["busy", "calm", "other", "session"]),
            (&["--source-port", "4001"], &["calm"]),
            (&["--source-port", "77"], &["ping"]),
            (&["--protocol", "tcp"], &["session", "syn"]),
            (
                &["--protocol", "udp", "--protocol", "icmp"],
                &["busy", "calm", "other", "ping"],
            ),
            (&["--protocol", "1"], &["ping"]),
            (&["--protocol", "gre"], &[]),
            (&["--state", "established"], &["session"]),
            (&["--state", "syn_sent"], &["syn"]),
            (&["--state", "udp,echo"], &["busy", "calm", "other", "ping"]),
            (&["--eni", "eth0"], ALL),
            (&["--eni", "eth1"], &[]),
            (&["--max-age", "1h"], ALL),
            (&["--min-age", "1h"], &[]),
            (&["--min-idle", "1h"], &[]),
            (
                &["--source", "172.16.1.11", "--port", "7"],
                &["busy", "calm"],
            ),
            (&["--source", "172.16.1.11", "--port", "22"], &[]),
        ] {
            let listed = ground.set(arguments)?;
            ensure!(
                listed == wanted.iter().copied().collect(),
                "daemon {daemon}, {arguments:?}: {listed:?}"
            );
        }
        if daemon == "running" {
            ground.scene.gateway.stop()?;
        }
    }
    ground.session.finish().map(drop)
}

#[test]
fn age_and_idleness_are_told_apart() -> Result<()> {
    let ground = Ground::start("xdp")?;
    wait::until(Duration::from_secs(20), "all but one idle for 2 s", || {
        let idle = ground.set(&["--min-idle", "2s"])?;
        ensure!(
            idle == ["busy", "calm", "other", "ping", "syn"].into(),
            "{idle:?}"
        );
        Ok(())
    })?;
    let old = ground.set(&["--min-age", "2s"])?;
    ensure!(old == ALL.iter().copied().collect(), "{old:?}");
    let young = ground.set(&["--max-age", "2s"])?;
    ensure!(young.is_empty(), "{young:?}");
    ground.session.finish().map(drop)
}

#[test]
fn a_rate_is_that_of_the_moment_and_selects_who_has_it() -> Result<()> {
    const PAYLOAD: usize = 972;
    let ground = Ground::start("tc")?;
    let socket = socket(&ground.scene, BUSY)?;
    let payload = [0; PAYLOAD];
    // 1000 bytes in an IP packet, 100 times a second and more bytes back: 800 kbit/s, and as much again.
    let rates = thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let fast = ["--min-rate", "400kbit", "--interval", "2s"];
            let rates = ground
                .scene
                .gateway
                .ctl_json(&[&["flows"][..], &fast].concat())?;
            let none = ground.set(&["--min-rate", "100MB"])?;
            anyhow::Ok((rates, none))
        });
        while !asked.is_finished() {
            socket.send(&payload)?;
            socket.recv(&mut [0; 2048])?;
            thread::sleep(Duration::from_millis(10));
        }
        asked
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let (rates, none) = rates?;
    ensure!(none.is_empty(), "{none:?}");
    let rates = rates.as_array().context("no array")?;
    ensure!(
        rates.len() == 1 && rates[0]["client_port"] == BUSY,
        "{rates:?}"
    );
    let bits = rates[0]["bits_per_second"].as_f64().context("no rate")?;
    // The pause is never shorter; a busy machine makes it longer.
    ensure!((400e3..2e6).contains(&bits), "{bits}");
    ground.session.finish().map(drop)
}

/// The external port of a flow.
fn port_of(ground: &Ground, wanted: &str) -> Result<String> {
    let flows = ground.scene.gateway.ctl_json(&["flows", "list"])?;
    let flows = flows.as_array().context("no array")?;
    let named =
        |flow: &&serde_json::Value| crate::ground::name(flow).is_ok_and(|name| name == wanted);
    let flow = flows.iter().find(named).context("no such flow")?;
    ensure!(flow["server"] == at(SERVER, 0).ip().to_string(), "{flow}");
    Ok(flow["external_port"].to_string())
}
