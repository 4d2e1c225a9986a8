//! What begins, changes and ends is told while it does.

use std::{
    io::{BufRead as _, BufReader},
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{gateway::program, netns::command, traffic::SSH};
use socket2::{Domain, Socket, Type};

use crate::ground::{Ground, SERVER, at, socket};

const SOON: Duration = Duration::from_secs(10);
const NEW: u16 = 5000;

#[test]
fn a_flow_that_begins_changes_and_ends_is_told_of_and_others_are_not() -> Result<()> {
    let ground = Ground::start("tc")?;
    let watch = Watch::start(&ground, &["--source", "172.16.1.11", "--json"])?;
    let connection = ground.scene.topology.clients[0].netns.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&at(Ipv4Addr::UNSPECIFIED, NEW).into())?;
        // It ends with RST.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.connect_timeout(&at(SERVER, SSH).into(), SOON)?;
        Ok(socket)
    })?;
    let new = watch.next()?;
    ensure!(new["event"] == "new" && new["client_port"] == NEW, "{new}");
    drop(connection);
    let mut state = new["state"].clone();
    while state != "reset" {
        let changed = watch.next()?;
        ensure!(
            changed["event"] == "state" && changed["state_before"] == state,
            "{changed} after {state}"
        );
        state = changed["state"].clone();
    }
    ground
        .scene
        .gateway
        .ctl(&["flows", "flush", "--source-port", "5000", "--yes"])?;
    let gone = watch.next()?;
    ensure!(
        gone["event"] == "gone" && gone["client_port"] == NEW,
        "{gone}"
    );
    ground.session.finish().map(drop)
}

#[test]
fn traffic_is_told_of_with_its_rate_where_it_is_asked_for() -> Result<()> {
    let ground = Ground::start("xdp")?;
    let watch = Watch::start(&ground, &["--source", "172.16.1.11", "--traffic", "--json"])?;
    let socket = socket(&ground.scene, 4001)?;
    socket.send(b"again")?;
    let moved = watch.next()?;
    ensure!(
        moved["event"] == "traffic"
            && moved["client_port"] == 4001
            && moved["bits_per_second"]
                .as_f64()
                .is_some_and(|bits| bits > 0.0),
        "{moved}"
    );
    ground.session.finish().map(drop)
}

#[test]
fn after_so_many_looks_it_ends_and_lines_read_like_sentences() -> Result<()> {
    let ground = Ground::start("tc")?;
    let looks = [
        "--count",
        "2",
        "--interval",
        "300ms",
        "--traffic",
        "--protocol",
        "tcp",
    ];
    let begun = Instant::now();
    let lines = ground
        .scene
        .gateway
        .ctl(&[&["flows", "watch"][..], &looks].concat())?;
    ensure!(begun.elapsed() >= Duration::from_millis(600));
    let line = lines.lines().next().context("the session is silent")?;
    ensure!(
        line.contains("Z traffic tcp 172.16.1.12:") && line.ends_with("bit/s"),
        "{line}"
    );
    ground.session.finish().map(drop)
}

/// A running `flows watch`.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    /// Started, and has looked once.
    fn start(ground: &Ground, arguments: &[&str]) -> Result<Self> {
        let gateway = &ground.scene.gateway;
        let netns = ground.scene.topology.gateway.netns.name();
        let mut watch: Command = command(netns, program()?);
        watch.args([
            "--name",
            gateway.name(),
            "flows",
            "watch",
            "--interval",
            "100ms",
        ]);
        let mut child = watch
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        let stderr = child.stderr.take().context("no standard error")?;
        BufReader::new(stderr).read_line(&mut ready)?;
        ensure!(ready.starts_with("3 flows now"), "{ready}");
        let stdout = child.stdout.take().context("no standard output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines
                .into_iter()
                .try_for_each(|line| sender.send(line))
                .ok();
        });
        Ok(Self { child, lines })
    }

    fn next(&self) -> Result<Value> {
        let line = self.lines.recv_timeout(SOON).context("nothing is told")?;
        serde_json::from_str(&line).with_context(|| line)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
