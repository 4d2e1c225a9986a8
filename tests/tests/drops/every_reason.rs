//! Each reason for which a packet is dropped, provoked by one: counted, shown and captured alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use snat_common::Verdict;
use snat_tests::{gateway::Gateway, netns::output, program, scene::Scene};

use crate::{Provoked, crowded, plain, strangers, watcher::Watcher};

/// Reasons that no packet can bring about, and why.
const NO_PACKET: [(Verdict, &str); 1] = [(
    Verdict::RewriteFailed,
    "the kernel refuses a write inside the packet only when it has no memory for a copy of it",
)];

type Start = fn(&str) -> Result<Scene>;
type Provoke = fn(&mut Scene) -> Result<Vec<Provoked>>;

/// Networks, and what is done there.
const SCENES: [(Start, Provoke); 4] = [
    (plain::gateway, plain::provoke),
    (crowded::narrow, crowded::use_up),
    (crowded::small, crowded::fill),
    (strangers::second_address, strangers::lose_it),
];

#[test]
fn every_reason_is_counted_shown_and_captured_xdp() -> Result<()> {
    every_reason("xdp")
}

#[test]
fn every_reason_is_counted_shown_and_captured_tc() -> Result<()> {
    every_reason("tc")
}

fn every_reason(datapath: &str) -> Result<()> {
    let mut provoked = BTreeSet::from(NO_PACKET.map(|(reason, _)| reason.name()));
    for (scene, provoke) in SCENES {
        provoked.extend(shows(&mut scene(datapath)?, provoke)?);
    }
    let all: BTreeSet<_> = Verdict::drops().map(Verdict::name).collect();
    let missing: Vec<_> = all.difference(&provoked).collect();
    ensure!(missing.is_empty(), "nothing provokes {missing:?}");
    Ok(())
}

/// Watches while packets are dropped; the reasons that were counted, shown and captured as often as each other.
fn shows(scene: &mut Scene, provoke: Provoke) -> Result<Vec<&'static str>> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("drops.pcapng");
    let path = file.to_str().context("its path")?;
    let before = counts(&scene.gateway)?;
    let all = [
        "--watch",
        "--json",
        "--per-second",
        "100000",
        "--pcap",
        path,
    ];
    let watcher = Watcher::start(scene, &all)?;
    let provoked = provoke(scene)?;
    for packet in &provoked {
        let shown = watcher.expect(packet)?;
        let way = if packet.reason == Verdict::LeakStopped {
            "out"
        } else {
            "in"
        };
        ensure!(shown["direction"] == way, "{shown}");
        ensure!(
            shown["meaning"] == packet.reason.describe().trim(),
            "{shown}"
        );
    }
    let (shown, _) = watcher.end()?;
    let captured = captured(&file)?;
    for packet in &provoked {
        ensure!(
            captured.contains(&Frame::of(packet)),
            "{packet:?} is not among {captured:#?}"
        );
    }
    let after = counts(&scene.gateway)?;
    for reason in Verdict::drops() {
        let name = reason.name();
        let told = [
            after[name] - before[name],
            shown.iter().filter(|line| line["reason"] == name).count() as u64,
            captured.iter().filter(|frame| frame.reason == name).count() as u64,
        ];
        ensure!(
            told == [told[0]; 3],
            "{name}: {told:?} counted, shown, captured"
        );
    }
    Ok(provoked.iter().map(|packet| packet.reason.name()).collect())
}

/// What `drops` counts, which is what `status` and `metrics` do.
fn counts(gateway: &Gateway) -> Result<BTreeMap<String, u64>> {
    let drops = gateway.ctl_json(&["drops", "--interval", "0s"])?;
    let status = gateway.ctl_json(&["status", "--interval", "0"])?;
    let metrics = gateway.ctl(&["metrics"])?;
    let reasons = drops["reasons"].as_array().context("no reasons")?;
    reasons
        .iter()
        .map(|reason| {
            let name = reason["reason"].as_str().context("no reason")?;
            let packets = &reason["packets"];
            ensure!(*packets == status["verdicts"][name]["packets"], "{reason}");
            let metric = format!("snat_drops_total{{reason=\"{name}\"}} {packets}");
            ensure!(metrics.lines().any(|line| line == metric), "no {metric}");
            Ok((name.to_owned(), packets.as_u64().context("no packets")?))
        })
        .collect()
}

/// What tshark reads in the file.
fn captured(file: &Path) -> Result<Vec<Frame>> {
    let fields = ["frame.comment", "ip.src", "ip.dst"];
    let mut tshark = Command::new(program::find("tshark")?);
    tshark
        .arg("-r")
        .arg(file)
        .args(["-T", "fields", "-E", "occurrence=f"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let read = output(&mut tshark)?;
    read.lines()
        .map(|line| {
            let mut words = line.split('\t');
            let mut next = || words.next().with_context(|| format!("no frame: {line}"));
            let (comment, src, dst) = (next()?, next()?, next()?);
            let reason = comment
                .strip_prefix("snat: ")
                .and_then(|it| it.split(':').next());
            Ok(Frame {
                reason: reason
                    .with_context(|| format!("no reason: {comment}"))?
                    .to_owned(),
                src: src.parse()?,
                dst: dst.parse()?,
            })
        })
        .collect()
}

/// A frame of the capture.
#[derive(Debug, PartialEq)]
struct Frame {
    reason: String,
    src: Ipv4Addr,
    dst: Ipv4Addr,
}

impl Frame {
    fn of(provoked: &Provoked) -> Self {
        Self {
            reason: provoked.reason.name().to_owned(),
            src: provoked.src,
            dst: provoked.dst,
        }
    }
}
