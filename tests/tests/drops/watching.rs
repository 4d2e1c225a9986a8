//! Who watches sees what it asked for, and costs nothing when it is gone.

use std::{
    net::SocketAddrV4,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, Map, MapData};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use snat_common::{Verdict, report::Watch};
use snat_ctl::datapath::sweep;
use snat_tests::{
    ping::ping,
    raw::Packet,
    scene::{Plan, Scene},
    segment::ACK,
    sender::Sender,
    wait,
};

use crate::{Provoked, SOON, counted, watcher::Watcher};

#[test]
fn only_what_is_asked_for_is_shown_with_the_daemon_stopped() -> Result<()> {
    let mut scene = scene()?;
    scene.gateway.stop()?;
    let [first, second] = &scene.topology.clients;
    let server = scene.topology.server.addr;
    let address = second.addr.to_string();
    let whole = format!("{server}/32");
    let filters: [(&[&str], bool); 6] = [
        (&["--source", &address], true),
        (&["--destination", &address], false),
        (&["--host", &address], true),
        (&["--host", "10.0.0.0/8"], false),
        (&["--source", &address, "--destination", &whole], true),
        (
            &["--source", &address, "--destination", "192.0.2.0/24"],
            false,
        ),
    ];
    for (filter, shows) in filters {
        let watcher = Watcher::start(&scene, &[&["--watch", "--json"], filter].concat())?;
        for client in [first, second] {
            stray(client.addr, server).send(&client.netns)?;
        }
        settle(&scene)?;
        let (shown, said) = watcher.end()?;
        let sources: Vec<_> = shown.iter().map(|line| &line["source"]).collect();
        let expected = if shows { vec![&address[..]] } else { vec![] };
        ensure!(sources == expected, "{filter:?}: {shown:?}");
        ensure!(said.is_empty(), "{said}");
    }
    Ok(())
}

#[test]
fn a_line_has_all_that_is_known_of_the_packet_and_count_ends_it() -> Result<()> {
    let scene = scene()?;
    let client = &scene.topology.clients[0];
    let server = scene.topology.server.addr;
    let asked = [
        "--watch",
        "--json",
        "--count",
        "1",
        "--reason",
        "tcp_no_flow",
    ];
    let mut watcher = Watcher::start(&scene, &asked)?;
    // Of another kind: not asked for.
    Packet::icmp(client.addr, server, 13, 0, &[0; 16]).send(&client.netns)?;
    stray(client.addr, server).send(&client.netns)?;
    let (shown, _) = watcher.wait()?;
    ensure!(shown.len() == 1, "{shown:?}");
    let mut line = shown[0].clone();
    let time = line["time"].take();
    let time = humantime(time.as_str().context("a time")?)?;
    ensure!(time < 60.0, "it was {time} s ago");
    let expected = serde_json::json!({
        "time": null,
        "interface": "eth1",
        "direction": "in",
        "protocol": "tcp",
        "source": client.addr.to_string(),
        "source_port": 4000,
        "destination": server.to_string(),
        "destination_port": 80,
        "icmp_type": null,
        "icmp_code": null,
        "tcp_flags": ["ack"],
        "fragment_offset": null,
        "length": 54,
        "reason": "tcp_no_flow",
        "meaning": Verdict::TcpNoFlow.describe().trim(),
    });
    ensure!(line == expected, "{line:#} is not {expected:#}");
    Ok(())
}

#[test]
fn a_second_watcher_is_told_of_the_first() -> Result<()> {
    let scene = scene()?;
    let first = Watcher::start(&scene, &["--watch", "--json"])?;
    let ended = scene.gateway.ctl_output(&["drops", "--watch"])?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(1), "{ended:?}");
    ensure!(said.contains(&format!("process {}", first.pid())), "{said}");
    // Counting takes no turn, and the first goes on.
    scene.gateway.ctl(&["drops"])?;
    let client = &scene.topology.clients[0];
    stray(client.addr, scene.topology.server.addr).send(&client.netns)?;
    first.expect(&Provoked {
        reason: Verdict::TcpNoFlow,
        src: client.addr,
        dst: scene.topology.server.addr,
    })?;
    first.end().map(drop)
}

#[test]
fn a_watcher_that_ends_is_forgotten_at_once_and_one_that_is_killed_soon() -> Result<()> {
    let scene = scene()?;
    let watcher = Watcher::start(&scene, &["--watch"])?;
    ensure!(is_wanted(&scene)?, "nobody watches");
    watcher.end()?;
    ensure!(!is_wanted(&scene)?, "it is reported to nobody");

    let watcher = Watcher::start(&scene, &["--watch"])?;
    kill(Pid::from_raw(watcher.pid().cast_signed()), Signal::SIGKILL)?;
    let killed = Instant::now();
    wait::until(SOON, "it is forgotten", || {
        ensure!(!is_wanted(&scene)?, "it is reported to nobody");
        Ok(())
    })?;
    ensure!(killed.elapsed() < Duration::from_secs(4));

    // What was reported for nobody is not what the next one asked for.
    let watcher = Watcher::start(&scene, &["--watch", "--json"])?;
    let (shown, _) = watcher.end()?;
    ensure!(shown.is_empty(), "{shown:?}");
    Ok(())
}

#[test]
fn a_watcher_ends_with_the_datapath_that_it_watched() -> Result<()> {
    let scene = scene()?;
    let mut watcher = Watcher::start(&scene, &["--watch"])?;
    scene.gateway.ctl(&["unload"])?;
    let error = watcher.wait().err().context("it went on")?;
    ensure!(error.to_string().contains("was unloaded"), "{error}");
    Ok(())
}

/// As many as there may be in a second, and the rest is counted: shown and not shown are all that were dropped.
#[test]
fn a_flood_shows_as_much_as_was_asked_for_and_counts_the_rest() -> Result<()> {
    const PER_SECOND: u64 = 50;
    let scene = scene()?;
    let client = &scene.topology.clients[0];
    let limit = PER_SECOND.to_string();
    let asked = ["--watch", "--json", "--per-second", &limit];
    let before = counted(&scene.gateway, Verdict::TcpNoFlow)?;
    let watcher = Watcher::start(&scene, &asked)?;
    let sender = Sender::open(&client.netns)?;
    let packet = stray(client.addr, scene.topology.server.addr);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        for _ in 0..100 {
            sender.send(&packet)?;
        }
    }
    settle(&scene)?;
    let took = begun.elapsed().as_secs_f64();
    let dropped = counted(&scene.gateway, Verdict::TcpNoFlow)? - before;
    let (shown, said) = watcher.end()?;
    println!(
        "{:.0} dropped a second, {} shown",
        dropped as f64 / took,
        shown.len()
    );
    // What a second lets flow in, and what there was at the beginning.
    let most = PER_SECOND as f64 * (took + 1.0);
    let count = shown.len() as f64;
    ensure!(
        count <= most && count > most / 2.0,
        "{count}, {most} at most"
    );
    let rest = dropped - shown.len() as u64;
    ensure!(
        said.starts_with(&format!("{rest} more packets")),
        "{rest}: {said}"
    );
    Ok(())
}

fn scene() -> Result<Scene> {
    let scene = Plan::routed("xdp").start()?;
    for client in &scene.topology.clients {
        ping(&client.netns, scene.topology.server.addr, 1, 1)?;
    }
    Ok(scene)
}

/// Of no connection.
fn stray(src: std::net::Ipv4Addr, dst: std::net::Ipv4Addr) -> Packet {
    Packet::tcp(
        SocketAddrV4::new(src, 4000),
        SocketAddrV4::new(dst, 80),
        ACK,
    )
}

/// Behind everything that was sent: once it is answered, that was decided on.
fn settle(scene: &Scene) -> Result<()> {
    for client in &scene.topology.clients {
        ping(&client.netns, scene.topology.server.addr, 2, 1)?;
    }
    Ok(())
}

/// Whether the datapath reports, as its map says.
fn is_wanted(scene: &Scene) -> Result<bool> {
    let pin = scene.gateway.pins().join("WATCH");
    let map: Array<_, [u8; size_of::<Watch>()]> =
        Array::try_from(Map::Array(MapData::from_pin(pin)?))?;
    let bytes = map.get(&0, 0)?;
    let at = std::mem::offset_of!(Watch, until);
    let until = u32::from_ne_bytes(bytes[at..at + 4].try_into()?);
    Ok(snat_common::clock::age(until, sweep::now()) != 0)
}

/// Seconds since a moment in RFC 3339, as `date` reads it.
fn humantime(text: &str) -> Result<f64> {
    let then =
        snat_tests::netns::output(std::process::Command::new("date").args(["-d", text, "+%s.%N"]))?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok((now.as_secs_f64() - then.trim().parse::<f64>()?).abs())
}
