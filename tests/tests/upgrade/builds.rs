//! An upgrade, and the way back.

use std::{collections::BTreeSet, net::SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{Gateway, other_build, program},
    http::{Client, HttpServer},
    observe::bpftool,
    scene::Plan,
    session::{LineServer, Session},
    stream::Stream,
    traffic::{self, HTTP},
};

const LINES: u16 = 22;
const STREAM: u16 = 9;
/// Enough that a moment without translation would show.
const RATE: u32 = 5_000;

#[test]
fn an_upgrade_and_a_rollback_lose_no_packet_xdp() -> Result<()> {
    up_and_back("xdp")
}

#[test]
fn an_upgrade_and_a_rollback_lose_no_packet_tc() -> Result<()> {
    up_and_back("tc")
}

fn up_and_back(datapath: &str) -> Result<()> {
    let mut scene = Plan::routed(datapath).start()?;
    let (topology, gateway) = (&scene.topology, &mut scene.gateway);
    let [client, other] = &topology.clients;
    let server = &topology.server;
    let _http = HttpServer::start(&server.netns, HTTP)?;
    let _lines = LineServer::start(&server.netns, LINES)?;
    let session = Session::open(&other.netns, SocketAddrV4::new(server.addr, LINES))?;
    let stream = Stream::start(&client.netns, &server.netns, server.addr, STREAM, RATE)?;

    let first = build(gateway)?;
    let first_programs = at_work(gateway)?;
    ensure!(gateway.ctl_json(&["status"])?["previous_build"].is_null());
    let newer = other_build()?;
    gateway.stop()?;
    gateway.set_program(&*newer);
    gateway.start_again().context("the upgrade")?;
    let second = build(gateway)?;
    let second_programs = at_work(gateway)?;
    ensure!(second != first, "both builds are {first}");
    ensure!(second_programs.is_disjoint(&first_programs));
    ensure!(
        gateway
            .log()
            .contains(&format!("from build {first} to {second}")),
        "{}",
        gateway.log()
    );
    // A restart of the same build keeps what there is to go back to.
    gateway.kill()?;
    gateway.start_again()?;
    ensure!(gateway.ctl_json(&["status"])?["previous_build"] == first.as_str());

    gateway.stop()?;
    gateway.set_arguments(&["--rollback"]);
    gateway.start_again().context("the rollback")?;
    ensure!(build(gateway)? == first);
    ensure!(
        at_work(gateway)? == first_programs,
        "not the programs that were at work before"
    );
    ensure!(gateway.log().contains("rolled back"), "{}", gateway.log());
    traffic::download(other, server).context("with the programs of before")?;

    gateway.stop()?;
    gateway.start_again().context("forth again")?;
    ensure!(build(gateway)? == second);
    gateway.stop()?;
    gateway.set_arguments(&[]);
    gateway.set_program(program()?);
    gateway.start_again().context("the older build itself")?;
    ensure!(build(gateway)? == first);

    let reply = Client::new(&client.netns, server.addr, HTTP).get("/whoami")?;
    ensure!(reply.text.starts_with(&format!("{}:", topology.external)));
    session.finish().context("the session")?;
    let flowed = stream.finish()?;
    ensure!(flowed.source.ip() == topology.external, "{flowed:?}");
    Ok(())
}

fn build(gateway: &Gateway) -> Result<String> {
    let status = gateway.ctl_json(&["status", "--interval", "0"])?;
    let build = status["build"].as_str().map(str::to_owned);
    build.with_context(|| format!("status names no build: {status}"))
}

/// The kernel's ids of the programs behind the links, and of those that tail calls reach.
fn at_work(gateway: &Gateway) -> Result<BTreeSet<u64>> {
    let mut programs = BTreeSet::new();
    for link in std::fs::read_dir(gateway.pins().join("links"))? {
        let path = link?.path();
        let shown = bpftool(&["link", "show", "pinned", path.to_str().context("a path")?])?;
        programs.insert(shown["prog_id"].as_u64().context("a link's program")?);
    }
    let stages = gateway.pins().join("STAGES");
    let dump = bpftool(&["map", "dump", "pinned", stages.to_str().context("a path")?])?;
    for stage in dump.as_array().context("a dump")? {
        let id = &stage["formatted"]["value"];
        let id = id
            .as_u64()
            .with_context(|| format!("no program in {stage}"))?;
        programs.insert(id);
    }
    Ok(programs)
}
