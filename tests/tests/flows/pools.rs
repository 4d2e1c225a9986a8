//! `snat-ctl pools` says how many ports are taken, by whom they are missed, and until when there are any.

use std::{
    net::{Ipv4Addr, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::scene::{Plan, Scene};

use crate::ground::{EXTERNAL, FAR, SERVER, plan};

const CAPACITY: u64 = 100;

#[test]
fn own_ports_are_used_then_rest_and_pools_without_any_are_listed() -> Result<()> {
    let scene = start("endpoint-independent")?;
    open(&scene, SERVER, 3000..3007)?;
    let pools = pools(&scene, &[])?;
    expect(pool(&pools, "udp")?, [7, 0, CAPACITY - 7])?;
    expect(pool(&pools, "tcp")?, [0, 0, CAPACITY])?;
    expect(pool(&pools, "icmp")?, [0, 0, CAPACITY])?;
    ensure!(
        pool(&pools, "udp")?["exhausted_in_seconds"].is_null(),
        "{pools}"
    );

    scene
        .gateway
        .ctl(&["flows", "flush", "--source-port", "3000,3001,3002", "--yes"])?;
    let pools = self::pools(&scene, &[])?;
    expect(pool(&pools, "udp")?, [4, 3, CAPACITY - 7])?;
    let screen = scene.gateway.ctl(&["pools", "--interval", "100ms"])?;
    let row = screen
        .lines()
        .find(|line| line.starts_with("203.0.113.10") && line.contains("udp"));
    let words: Vec<_> = row.context("no row")?.split_whitespace().collect();
    ensure!(
        words[1..] == ["udp", "100", "4", "3", "93", "7.0", "+0.0/s", "never"],
        "{screen}"
    );
    Ok(())
}

#[test]
fn shared_ports_are_counted_by_destination_the_fullest_first() -> Result<()> {
    let scene = start("address-and-port-dependent")?;
    scene.more_servers(30..31)?;
    open(&scene, SERVER, 3000..3003)?;
    open(&scene, FAR, 3000..3008)?;
    let pools = pools(&scene, &[])?;
    expect(pool(&pools, "udp")?, [0, 0, CAPACITY])?;
    let [far, near] = &pools["destinations"].as_array().context("none")?[..] else {
        anyhow::bail!("not two: {pools}");
    };
    for (destination, server, used) in [(far, FAR, 8), (near, SERVER, 3)] {
        ensure!(
            destination["external"] == EXTERNAL.to_string()
                && destination["protocol"] == "udp"
                && destination["server"] == server.to_string()
                && destination["server_port"] == 9
                && destination["used"] == used
                && destination["capacity"] == CAPACITY
                && destination["free"] == CAPACITY - used,
            "{destination}"
        );
    }
    let one = self::pools(&scene, &["--limit", "1"])?;
    ensure!(
        one["destinations"]
            .as_array()
            .is_some_and(|list| list.len() == 1),
        "{one}"
    );
    let screen = scene.gateway.ctl(&["pools", "--interval", "100ms"])?;
    ensure!(screen.contains("198.51.100.30:9"), "{screen}");
    Ok(())
}

#[test]
fn growth_says_when_the_last_port_is_gone() -> Result<()> {
    let scene = start("endpoint-independent")?;
    let seen = thread::scope(|scope| {
        let asked = scope.spawn(|| pools(&scene, &["--interval", "2s"]));
        for port in 3000..3060 {
            if asked.is_finished() {
                break;
            }
            open(&scene, SERVER, port..port + 1)?;
            thread::sleep(Duration::from_millis(50));
        }
        asked
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    for entry in [pool(&seen, "udp")?, &seen["destinations"][0]] {
        let number = |field: &str| {
            entry[field]
                .as_f64()
                .with_context(|| format!("{field}: {entry}"))
        };
        let (growth, free) = (number("growth_per_second")?, number("free")?);
        ensure!(growth > 1.0 && growth < 20.0, "{entry}");
        let end = number("exhausted_in_seconds")?;
        ensure!((end * growth - free).abs() < 1e-6, "{entry}");
    }
    open(&scene, SERVER, 3000..3000 + CAPACITY as u16)?;
    let full = pools(&scene, &[])?;
    let udp = pool(&full, "udp")?;
    expect(udp, [CAPACITY, 0, 0])?;
    ensure!(udp["exhausted_in_seconds"] == 0.0, "{udp}");
    Ok(())
}

fn start(mapping: &str) -> Result<Scene> {
    Plan {
        entry: &format!("mapping = {mapping:?}\nports = \"20000-20099\""),
        ..plan("tc")
    }
    .start()
}

/// A flow from each of these ports.
fn open(scene: &Scene, server: Ipv4Addr, ports: std::ops::Range<u16>) -> Result<()> {
    scene.topology.clients[0].netns.enter(|| {
        for port in ports {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            socket.send_to(b"x", (server, 9))?;
        }
        Ok(())
    })
}

fn pools(scene: &Scene, arguments: &[&str]) -> Result<Value> {
    let short = ["pools", "--interval", "100ms"];
    let mut all: Vec<_> = short.to_vec();
    // The last one counts.
    if arguments.contains(&"--interval") {
        all.truncate(1);
    }
    all.extend(arguments);
    scene.gateway.ctl_json(&all)
}

fn pool<'a>(pools: &'a Value, protocol: &str) -> Result<&'a Value> {
    let all = pools["pools"].as_array().context("no pools")?;
    all.iter()
        .find(|pool| pool["external"] == EXTERNAL.to_string() && pool["protocol"] == protocol)
        .with_context(|| format!("no {protocol} in {pools}"))
}

/// Used, resting, free.
fn expect(pool: &Value, wanted: [u64; 3]) -> Result<()> {
    let found = ["used", "resting", "free"].map(|field| pool[field].as_u64());
    ensure!(
        found == wanted.map(Some) && pool["capacity"] == CAPACITY,
        "{pool}, not {wanted:?}"
    );
    Ok(())
}
