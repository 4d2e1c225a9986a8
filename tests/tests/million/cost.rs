//! What looking at a million flows costs the packets meanwhile: a measurement, which prints and judges nothing.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use snat_ctl::datapath::{Pins, totals};
use snat_tests::{netns::Netns, scene::Scene, wait};

use crate::{
    scrapes::scrape,
    table::{fill, plan},
};

const COMMANDS: [&[&str]; 4] = [
    &["flows", "--limit", "20", "--sort", "bytes"],
    &["pools", "--interval", "100ms"],
    &["status"],
    &["metrics"],
];
const ROUNDS: usize = 9;
/// Scrapes of a round, and what is between their begins.
const SCRAPES: u32 = 4;
const EACH: Duration = Duration::from_secs(1);
/// Flows that the load is spread over.
const SENDERS: u16 = 256;

#[test]
#[ignore = "a measurement, for a machine that is otherwise idle: --ignored --nocapture, SNAT_CTL a release build"]
fn packets_a_second_with_and_without_a_command_running() -> Result<()> {
    for datapath in ["xdp", "tc"] {
        let scene = plan(datapath).start()?;
        fill(&scene)?;
        // Where they have been counted is early enough.
        scene.topology.fabric[1].nft(
            "table netdev sink {
                 chain in { type filter hook ingress device gw priority 0; udp dport 9 drop; }
             }",
        )?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let load = scope.spawn(|| {
                send(
                    &scene.topology.clients[0].netns,
                    scene.topology.server.addr,
                    &stop,
                )
            });
            let measured = measure(&scene, datapath);
            stop.store(true, Ordering::Relaxed);
            load.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            measured
        })?;
    }
    Ok(())
}

fn measure(scene: &Scene, datapath: &str) -> Result<()> {
    let pins = Pins::of(scene.gateway.name());
    wait::until(Duration::from_secs(10), "the load runs", || {
        (packets(&pins)? > 100_000).then_some(()).context("not yet")
    })?;
    for arguments in COMMANDS {
        compare(&pins, &format!("{datapath} {arguments:?}"), || {
            let output = scene.gateway.ctl_output(arguments)?;
            ensure!(output.status.success(), "{arguments:?}: {output:?}");
            Ok(())
        })?;
    }
    compare(&pins, &format!("{datapath} scraped each second"), || {
        for _ in 0..SCRAPES {
            let (took, _) = scrape(scene)?;
            thread::sleep(EACH.saturating_sub(took));
        }
        Ok(())
    })
}

/// Says how many packets pass while something runs, and how many while nothing does for as long, in turn.
fn compare(pins: &Pins, what: &str, run: impl Fn() -> Result<()>) -> Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let before = packets(pins)?;
        run()?;
        let took = begun.elapsed();
        let during = (packets(pins)? - before) as f64 / took.as_secs_f64();
        let begun = Instant::now();
        let before = packets(pins)?;
        thread::sleep(took);
        let without = (packets(pins)? - before) as f64 / begun.elapsed().as_secs_f64();
        rounds.push((without, during, took.as_secs_f64()));
    }
    let of = |part: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(part).collect());
    eprintln!(
        "{what}: {:.2} s; {:.0} packets/s without, {:.0} with; median ratio {:.3}",
        of(|round| round.2),
        of(|round| round.0),
        of(|round| round.1),
        of(|round| round.1 / round.0),
    );
    Ok(())
}

/// Sends as fast as it can, on the first CPU.
fn send(netns: &Netns, server: Ipv4Addr, stop: &AtomicBool) -> Result<()> {
    netns.enter(|| {
        let mut first = CpuSet::new();
        first.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &first)?;
        let sockets = (0..SENDERS)
            .map(|number| {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 20_000 + number))?;
                socket.connect((server, 9))?;
                Ok(socket)
            })
            .collect::<Result<Vec<_>>>()?;
        while !stop.load(Ordering::Relaxed) {
            for socket in &sockets {
                // A queue that is full for a moment is no matter.
                socket.send(b"0123456789abcdef").ok();
            }
        }
        Ok(())
    })
}

/// How many the gateway has translated.
fn packets(pins: &Pins) -> Result<u64> {
    let totals = totals(pins)?;
    Ok(totals.get("translated_out").context("no such verdict")?.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
