//! From the kernel to the gateway.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use snat_tests::{
    gateway::{Gateway, nft_masquerade},
    session::LineServer,
    traffic::{ECHO, SSH},
    udp::UdpEcho,
    wait,
};

use crate::{
    crowd::{Crowd, Ping},
    ground::{Ends, Ground},
};

const TCP: usize = 500;
const UDP: usize = 40;
/// One ping that goes on and on.
const ALL: usize = TCP + UDP + 1;
/// Where the host takes its own ports from: with the usual range, none that the kernel's NAT prefers is handed out.
const LOCAL_PORTS: &str = "net/ipv4/ip_local_port_range";

#[test]
fn connections_of_an_nft_masquerade_go_on_as_the_same_tc() -> Result<()> {
    let ground = Ground::build("tc", "", "")?;
    nft_masquerade(&ground.topology)?;
    go_on_as_the_same(&ground)
}

#[test]
fn connections_of_an_nft_masquerade_go_on_as_the_same_xdp() -> Result<()> {
    let ground = Ground::build("xdp", "", "ports = [\"10000-65535\"]")?;
    ground.gw().sysctl(LOCAL_PORTS, "2000 9999")?;
    nft_masquerade(&ground.topology)?;
    go_on_as_the_same(&ground)
}

#[test]
fn connections_of_iptables_legacy_go_on_as_the_same() -> Result<()> {
    let ground = Ground::build("tc", "", "ports = [\"10000-65535\"]")?;
    ground.gw().sysctl(LOCAL_PORTS, "2000 9999")?;
    let rule = "-s 172.16.1.0/24 ! -d 172.16.0.0/12 -o eth0 -j MASQUERADE --random-fully";
    ground
        .gw()
        .run(&format!("iptables-legacy -t nat -A POSTROUTING {rule}"))?;
    go_on_as_the_same(&ground)
}

/// Half of the connections are silent meanwhile, half never stop. Then nothing is left of the kernel's NAT.
fn go_on_as_the_same(ground: &Ground) -> Result<()> {
    let _lines = LineServer::start(&ground.topology.server.netns, SSH)?;
    let _echo = UdpEcho::start(&ground.topology.server.netns, ECHO)?;
    let mut silent = Crowd::open(ground, TCP / 2, UDP / 2)?;
    let talking = Crowd::open(ground, TCP / 2, UDP / 2)?.keep_talking();
    let ping = Ping::start(ground)?;
    let before = wait::until(Duration::from_secs(5), "all are tracked", || {
        let tracked = ground.tracked()?;
        ensure!(tracked.len() == ALL, "{} tracked", tracked.len());
        Ok(tracked)
    })?;

    let plan = ground.adopt_ends(0, &["--plan"])?;
    ensure!(
        plan["taken_over"] == ALL && plan["adopted"] == false,
        "{plan}"
    );
    ensure!(plan["by_protocol"]["tcp"] == TCP, "{plan}");
    ensure!(plan["by_protocol"]["udp"] == UDP, "{plan}");
    ensure!(plan["cut"].as_array().is_some_and(Vec::is_empty), "{plan}");

    let done = ground.adopt_ends(0, &[])?;
    ensure!(done["taken_over"] == ALL && done["lost"] == 0, "{done}");
    ground.no_rules()?;
    ground.gw().run("conntrack -F").ok();
    let gateway = Gateway::start_with(&ground.topology, ground.name(), &ground.text()?)?;
    same(&before, &ground.flows()?)?;
    silent.talk()?;
    let (talked, rounds) = talking.stop()?;
    ensure!(rounds > 0);
    ping.finish()?;
    same(&before, &ground.flows()?)?;

    drop((silent, talked));
    all_is_given_back(&gateway)
}

pub(crate) fn same(before: &BTreeSet<Ends>, now: &BTreeSet<Ends>) -> Result<()> {
    let gone: Vec<_> = before.difference(now).take(3).collect();
    let new: Vec<_> = now.difference(before).take(3).collect();
    ensure!(
        gone.is_empty() && new.is_empty(),
        "gone {gone:?}, new {new:?}"
    );
    Ok(())
}

/// A flow that was taken over gives back what it held, as any other.
fn all_is_given_back(gateway: &Gateway) -> Result<()> {
    gateway.ctl(&["flows", "flush", "--all", "--yes"])?;
    wait::until(Duration::from_secs(20), "nothing is held any more", || {
        let status = gateway.ctl_json(&["status", "--interval", "0"])?;
        let pools = gateway.ctl_json(&["pools", "--interval", "10ms"])?;
        let used: u64 = pools["pools"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|pool| pool["used"].as_u64())
            .sum();
        ensure!(
            status["flows"]["used"] == 0 && used == 0,
            "{status} {pools}"
        );
        Ok(())
    })
}
