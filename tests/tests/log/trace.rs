//! `run --trace`.

use std::{collections::BTreeSet, net::SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{Gateway, config, program},
    netns::output,
    observe::bpftool,
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};

use crate::book::SOON;

#[test]
fn packets_that_match_are_told_both_ways_and_others_are_not_xdp() -> Result<()> {
    told("xdp", "snat_xdp")
}

#[test]
fn packets_that_match_are_told_both_ways_and_others_are_not_tc() -> Result<()> {
    told("tc", "snat_tc")
}

fn told(datapath: &str, fast: &str) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let name = format!("{prefix}tr");
    let text = config(&topology, &name, datapath);
    let client = topology.clients[0].addr;
    let filter = format!("source={client} port={ECHO} protocol=udp");
    let mut gateway = Gateway::start_args(&topology, &name, &text, &["--trace", &filter])?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let server = SocketAddrV4::new(topology.server.addr, ECHO);
    udp::exchange(&topology.clients[1].netns, server, 4000, 3)?;
    let seen = udp::exchange(&topology.clients[0].netns, server, 4000, 3)?;

    let out = format!("udp {client}:4000 -> {server}: ");
    let expected = [
        format!(
            "trace: snat_tc_slow eth1: {out}no flow; [[snat]] number 1; not bypassed; handed on"
        ),
        format!(
            "trace: snat_tc_open eth1: {out}flow of the client's, external {seen}; flow opened"
        ),
        format!(
            "trace: {fast} eth1: {out}flow of the client's, external {seen}; translated_out, sent by eth0"
        ),
        format!(
            "trace: {fast} eth0: udp {server} -> {seen}: flow of client {client}:4000; translated_in, sent by eth1"
        ),
    ];
    wait::until(SOON, "every decision is told", || {
        let said = gateway.log();
        let missing = expected.iter().find(|line| !said.contains(*line));
        ensure!(missing.is_none(), "no {missing:?} in {said}");
        Ok(())
    })?;
    let other = topology.clients[1].addr.to_string();
    ensure!(!gateway.log().contains(&other), "{}", gateway.log());
    ensure!(
        !logging(&gateway)?.is_empty(),
        "a traced program has no ring to send to"
    );

    gateway.stop()?;
    gateway.set_arguments(&[]);
    gateway.start_again()?;
    udp::exchange(&topology.clients[0].netns, server, 4000, 3)?;
    let left = logging(&gateway)?;
    ensure!(left.is_empty(), "{left:?} are still traced");
    ensure!(!gateway.log().contains("trace:"), "{}", gateway.log());
    Ok(())
}

#[test]
fn a_wrong_filter_is_refused_with_the_reason() -> Result<()> {
    for (filter, why) in [
        ("", "it is empty"),
        ("state=established", "only source, destination"),
        ("port=80,443", "port has several values"),
        ("sauce=172.16.1.5", "sauce"),
    ] {
        let mut run = std::process::Command::new(program()?);
        let ended = run.args(["run", "--trace", filter]).output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(
            ended.status.code() == Some(2) && said.contains(why),
            "{filter}: {said}"
        );
    }
    Ok(())
}

/// Names of its programs whose code, as the kernel runs it, has the ring of `aya-log` in it; prints their sizes.
fn logging(gateway: &Gateway) -> Result<BTreeSet<String>> {
    let maps = bpftool(&["map", "show"])?;
    let rings: Vec<_> = maps
        .as_array()
        .context("no maps")?
        .iter()
        .filter(|map| map["name"] == "AYA_LOGS")
        .map(|map| format!("map[id:{}]", map["id"]))
        .collect();
    let mut found = BTreeSet::new();
    for id in programs(gateway)? {
        let shown = bpftool(&["prog", "show", "id", &id])?;
        println!(
            "{} {} {}",
            shown["name"], shown["bytes_xlated"], shown["bytes_jited"]
        );
        let mut dump = std::process::Command::new("bpftool");
        let code = output(dump.args(["prog", "dump", "xlated", "id", &id]))?;
        ensure!(code.contains("exit"), "the code is not shown: {code}");
        if rings.iter().any(|ring| code.contains(ring)) {
            found.insert(shown["name"].to_string());
        }
    }
    Ok(found)
}

/// Those that are attached, and those behind them.
fn programs(gateway: &Gateway) -> Result<Vec<String>> {
    let mut ids: Vec<_> = gateway
        .objects()?
        .programs
        .iter()
        .map(u64::to_string)
        .collect();
    let stages = gateway.pins().join("STAGES");
    let dump = bpftool(&["map", "dump", "pinned", stages.to_str().context("a path")?])?;
    for element in dump.as_array().context("no stages")? {
        let id = element["formatted"]["value"].as_u64();
        ids.push(id.with_context(|| element.to_string())?.to_string());
    }
    Ok(ids)
}
