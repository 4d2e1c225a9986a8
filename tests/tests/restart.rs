//! The daemon ends and starts anew, or crashes: no connection and no packet's way depends on it.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddrV4, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::Gateway,
    http::HttpServer,
    session::{LineServer, Session},
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::{self, HTTP},
};

const LINES: u16 = 22;

#[test]
fn a_restart_breaks_no_connection_xdp() -> Result<()> {
    connections_live_through("xdp", Shape::OneArm, 1, Gateway::stop)
}

#[test]
fn a_restart_breaks_no_connection_tc() -> Result<()> {
    connections_live_through("tc", Shape::Routed, 1, Gateway::stop)
}

#[test]
fn five_crashes_break_no_connection_xdp_generic() -> Result<()> {
    connections_live_through("xdp-generic", Shape::Routed, 5, Gateway::kill)
}

#[test]
fn five_crashes_break_no_connection_xdp() -> Result<()> {
    connections_live_through("xdp", Shape::Routed, 5, Gateway::kill)
}

/// Downloads, a busy session and an idle one run while the daemon is ended and started `times` times.
fn connections_live_through(
    datapath: &str,
    shape: Shape,
    times: u32,
    end: impl Fn(&mut Gateway) -> Result<()>,
) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let mut gateway = Gateway::start(&topology, &format!("{prefix}again"), datapath)?;
    let [client, other] = &topology.clients;
    let server = &topology.server;
    let _http = HttpServer::start(&server.netns, HTTP)?;
    let _lines = LineServer::start(&server.netns, LINES)?;
    // Slow enough that a download spans several restarts.
    server
        .netns
        .run("tc qdisc add dev eth0 root tbf rate 200mbit burst 256kb latency 100ms")?;
    let session = Session::open(&other.netns, SocketAddrV4::new(server.addr, LINES))?;
    let mut idle = client
        .netns
        .enter(|| Ok(TcpStream::connect((server.addr, LINES))?))?;
    idle.set_read_timeout(Some(Duration::from_secs(5)))?;

    let restarted = AtomicBool::new(false);
    thread::scope(|scope| {
        let downloads = scope.spawn(|| -> Result<()> {
            while !restarted.load(Ordering::Relaxed) {
                traffic::download(client, server)?;
            }
            Ok(())
        });
        let kept = keeps_its_place(&mut gateway, times, end);
        restarted.store(true, Ordering::Relaxed);
        let downloaded = downloads
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        kept.and(downloaded)
    })?;
    session.finish().context("the busy session")?;
    idle.write_all(b"still there\n")?;
    idle.read_exact(&mut [0; 12]).context("the idle session")?;
    Ok(())
}

/// Ends and starts the daemon; links and external ports must stay, programs be replaced.
fn keeps_its_place(
    gateway: &mut Gateway,
    times: u32,
    end: impl Fn(&mut Gateway) -> Result<()>,
) -> Result<()> {
    let first = gateway.objects()?;
    let ports = external_ports(gateway)?;
    let mut before = first.clone();
    for round in 1..=times {
        end(gateway)?;
        ensure!(gateway.ctl_json(&["status"])?["daemon"].is_null());
        gateway
            .start_again()
            .with_context(|| format!("round {round}"))?;
        let status = gateway.ctl_json(&["status"])?;
        ensure!(status["daemon"] == gateway.pid(), "{status}");
        let now = gateway.objects()?;
        ensure!(now.links == first.links, "links {first:?} became {now:?}");
        ensure!(
            now.programs.is_disjoint(&before.programs),
            "programs of the daemon before are in use: {before:?}, {now:?}"
        );
        before = now;
    }
    let kept = external_ports(gateway)?;
    for (flow, port) in ports {
        ensure!(
            kept.get(&flow) == Some(&port),
            "{flow:?} had {port}: {kept:?}"
        );
    }
    Ok(())
}

fn external_ports(gateway: &Gateway) -> Result<BTreeMap<(String, u16), u16>> {
    let flows = gateway.flows()?;
    ensure!(
        flows.len() >= 2,
        "the sessions' flows are missing: {flows:?}"
    );
    Ok(flows
        .into_iter()
        .map(|flow| {
            (
                (flow.client.to_string(), flow.client_port),
                flow.external_port,
            )
        })
        .collect())
}
