//! Everything that happens to a daemon, changes of its configuration too, again and again, under 500 transfers and a stream
//! of 20,000 packets a second.

use std::{
    env, fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    falls::Falls,
    gateway::{Gateway, other_build, program},
    http::{self, Client, HttpServer},
    scene::{Plan, Scene},
    stream::{Lost, Stream},
    topology::Topology,
    traffic::HTTP,
};

/// More rounds than the one of `cargo xtask test`: ten make 20 restarts, 20 crashes, ten upgrades and
/// rollbacks, and 50 changes.
const ROUNDS: &str = "SNAT_STORM_ROUNDS";
/// To find the machine quiet enough.
const ATTEMPTS: u32 = 3;
const TRANSFERS: u16 = 500;
const BYTES: u64 = 600_000;
/// Of all transfers while a round lasts, and the queue for it: so they last longer than that, and leave two cores room.
const PACE: &str = "rate 60mbit burst 64kb limit 16mb";
const STREAM: u16 = 9;
const RATE: u32 = 20_000;

#[test]
fn restarts_crashes_upgrades_and_rollbacks_lose_nothing_xdp() -> Result<()> {
    storm("xdp")
}

#[test]
fn restarts_crashes_upgrades_and_rollbacks_lose_nothing_tc() -> Result<()> {
    storm("tc")
}

/// A machine that others keep busy loses packets by itself, before or behind the gateway, and its own counters say so. Such
/// a storm is weathered again; where none is without, no more may be missing than those counters have.
fn storm(datapath: &str) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let (lost, falls) = weather(datapath)?;
        let Some(lost) = lost else {
            return Ok(());
        };
        ensure!(lost.count <= falls.total(), "{lost}, and {falls}");
        eprintln!("{datapath}: {lost}, but {falls}");
    }
    eprintln!("{datapath}: this machine is too busy to see whether the gateway loses any itself");
    Ok(())
}

/// What of the stream did not arrive, and what the machine let fall meanwhile.
fn weather(datapath: &str) -> Result<(Option<Lost>, Falls)> {
    let rounds = env::var(ROUNDS).map_or(Ok(1), |rounds| rounds.parse())?;
    let Scene {
        mut gateway,
        topology,
    } = Plan::routed(datapath).start()?;
    let (client, server) = (&topology.clients[0], &topology.server);
    let _http = HttpServer::start(&server.netns, HTTP)?;
    let newer = other_build()?;
    let programs = [program()?, newer.to_path_buf()];
    let before = Falls::count(&topology)?;
    let stream = Stream::start(&client.netns, &server.netns, server.addr, STREAM, RATE)?;
    let begun = Instant::now();
    let mut result = Ok(());
    for _ in 0..rounds {
        result = result.and_then(|()| round(&mut gateway, &topology, &programs));
    }
    let lasted = begun.elapsed();
    let flowed = stream.finish();
    result?;
    let falls = Falls::count(&topology)?.since(&before);
    let flowed = match flowed {
        Err(error) => {
            let lost = error.downcast::<Lost>()?;
            return Ok((Some(lost), falls));
        }
        Ok(flowed) => flowed,
    };
    ensure!(flowed.source.ip() == topology.external, "{flowed:?}");
    let rate = flowed.datagrams as f64 / lasted.as_secs_f64();
    ensure!(
        rate > f64::from(RATE) * 0.5,
        "the stream had but {rate:.0} packets a second"
    );
    eprintln!("{rounds} rounds in {lasted:.1?}: {flowed:?}, {rate:.0} a second");
    Ok((None, falls))
}

/// 500 transfers begin, something of everything happens, the transfers end.
fn round(gateway: &mut Gateway, topology: &Topology, programs: &[PathBuf; 2]) -> Result<()> {
    let (client, server) = (&topology.clients[1], &topology.server);
    server
        .netns
        .run(&format!("tc qdisc add dev eth0 root tbf {PACE}"))?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let transfers = scope.spawn(|| {
            let ports: Vec<u16> = (20_000..20_000 + TRANSFERS).collect();
            let http = Client::new(&client.netns, server.addr, HTTP);
            let replies = http.get_from_ports(&format!("/bytes/{BYTES}"), &ports);
            ensure!(
                over.load(Ordering::Relaxed),
                "the transfers ended before the storm: {:?}",
                replies.err()
            );
            let right = http::sha256(BYTES);
            let damaged = replies?
                .iter()
                .filter(|reply| reply.sha256 != right)
                .count();
            ensure!(
                damaged == 0,
                "{damaged} of {TRANSFERS} transfers are damaged"
            );
            Ok(())
        });
        let lived = happen(gateway, programs);
        over.store(true, Ordering::Relaxed);
        let hurried = server.netns.run("tc qdisc del dev eth0 root").map(drop);
        let transferred = transfers
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        lived.and(hurried).and(transferred.context("the transfers"))
    })
}

/// What a daemon goes through. (The last of a round is a crash, too.)
fn happen(gateway: &mut Gateway, [older, newer]: &[PathBuf; 2]) -> Result<()> {
    for end in [Gateway::stop, Gateway::kill].repeat(2) {
        again(gateway, end, older, &[])?;
        apply(gateway)?;
    }
    again(gateway, Gateway::stop, newer, &[]).context("an upgrade")?;
    again(gateway, Gateway::kill, newer, &["--rollback"]).context("a rollback")?;
    apply(gateway).context("after the rollback")
}

/// Adds an entry for clients that nobody is, or takes it away.
fn apply(gateway: &Gateway) -> Result<()> {
    const MORE: &str = r#"
[[snat]]
name     = "more"
source   = ["10.9.0.0/16", "172.16.9.0/24"]
external = ["auto"]
"#;
    let text = fs::read_to_string(gateway.config())?;
    let changed = match text.strip_suffix(MORE) {
        Some(less) => less.to_owned(),
        None => text.clone() + MORE,
    };
    fs::write(gateway.config(), changed)?;
    let path = gateway.config().to_str().context("a path")?;
    let said = gateway.ctl(&["apply", "--config", path])?;
    ensure!(said.contains("more"), "it changed something else: {said}");
    Ok(())
}

fn again(
    gateway: &mut Gateway,
    end: fn(&mut Gateway) -> Result<()>,
    program: &PathBuf,
    arguments: &[&str],
) -> Result<()> {
    end(gateway)?;
    gateway.set_program(program);
    gateway.set_arguments(arguments);
    gateway.start_again()?;
    // Time to work, not only to start.
    thread::sleep(Duration::from_millis(100));
    Ok(())
}
