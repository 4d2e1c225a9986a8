//! What is found by itself and what the configuration decides, as the kernel's own route lookup sees it.

use std::time::Duration;

use anyhow::{Result, ensure};
use snat_tests::{
    eni::section,
    netns::Netns,
    topology::enis::{ETH0, ETH1, SERVER},
    wait,
};

use super::Scene;

/// Without a gateway; 172.16.20.1 is what would be guessed.
const AUTO: &str = "[[eni]]
match = { name = \"eth1\" }
table = 1001
";
const DEFAULT_BY_ETH1: &str = "ip route add default via 172.16.20.253 dev eth1 metric 300";

#[test]
fn the_gateway_is_that_of_the_main_table_s_default_route() -> Result<()> {
    let scene = Scene::new("")?;
    let vm = &scene.enis.vm;
    scene.ctl.configure(AUTO)?;
    scene.ctl.done("apply")?;
    leads(vm, &from_eth1(SERVER), "via 172.16.20.1 dev eth1")?;
    vm.run(DEFAULT_BY_ETH1)?;
    scene.ctl.done("apply")?;
    leads(vm, &from_eth1(SERVER), "via 172.16.20.253 dev eth1")
}

#[test]
fn the_daemon_remembers_a_gateway_whose_route_went_with_the_link() -> Result<()> {
    let scene = Scene::new("")?;
    let vm = &scene.enis.vm;
    vm.run(DEFAULT_BY_ETH1)?;
    scene.ctl.configure(AUTO)?;
    let _daemon = scene.ctl.daemon()?;
    leads(vm, &from_eth1(SERVER), "via 172.16.20.253 dev eth1")?;
    vm.ip("link set eth1 down")?;
    let away = vm.run(&format!("ip route get {}", from_eth1(SERVER)));
    ensure!(away.is_err(), "eth1 is down, and yet: {away:?}");
    vm.ip("link set eth1 up")?;
    wait::until(Duration::from_secs(5), "the way back", || {
        leads(vm, &from_eth1(SERVER), "via 172.16.20.253 dev eth1")
    })?;
    let main = vm.run("ip route show exact default dev eth1")?;
    ensure!(main.is_empty(), "the route did not go: {main}");
    Ok(())
}

#[test]
fn a_route_by_eth1_in_the_main_table_counts_for_its_sources_too() -> Result<()> {
    let scene = Scene::new("")?;
    let vm = &scene.enis.vm;
    vm.run("ip route add 10.50.0.0/16 via 172.16.20.9 dev eth1")?;
    scene.ctl.done("apply")?;
    leads(vm, &from_eth1("10.50.0.1"), "via 172.16.20.9 dev eth1")?;
    leads(vm, &from_eth1("10.51.0.1"), "via 172.16.20.253 dev eth1")
}

/// As DHCP leaves it in some clouds.
#[test]
fn a_gateway_outside_of_the_subnet_is_reached_by_its_own_route() -> Result<()> {
    let scene = Scene::new("")?;
    let vm = &scene.enis.vm;
    let addr = ETH1.addr;
    vm.ip(&format!(
        "addr flush dev eth1\naddr add {addr}/32 dev eth1\nroute add 169.254.7.1 dev eth1\n"
    ))?;
    scene
        .ctl
        .configure(&format!("{AUTO}gateway = \"169.254.7.1\"\n"))?;
    scene.ctl.done("apply")?;
    leads(vm, &from_eth1(SERVER), "via 169.254.7.1 dev eth1")?;
    leads(vm, &from_eth1("172.16.20.9"), "via 169.254.7.1 dev eth1")
}

#[test]
fn bypass_prefixes_and_mark_decide() -> Result<()> {
    let scene = Scene::new("")?;
    let vm = &scene.enis.vm;
    vm.ip("addr add 172.16.21.5/32 dev lo\nroute add 10.8.0.0/16 via 172.16.10.9 dev eth0\n")?;
    let from_behind = format!("{SERVER} from 172.16.21.5");
    let marked = format!("{SERVER} mark 0x101");
    let ways = |bypassed, behind| {
        leads(vm, &from_eth1("10.8.0.1"), bypassed)?;
        leads(vm, &from_behind, behind)?;
        leads(vm, &marked, behind)
    };
    let (eth0, eth1) = ("via 172.16.10.253 dev eth0", "via 172.16.20.253 dev eth1");
    scene.ctl.done("apply")?;
    ways(eth1, eth0)?;
    let more = "prefixes = [\"172.16.21.0/28\"]\nmark = 0x101";
    let decided = section(&ETH1, more);
    scene
        .ctl
        .configure(&format!("{decided}[routing]\nbypass = [\"10.8.0.0/16\"]\n"))?;
    scene.ctl.done("apply")?;
    ways("via 172.16.10.9 dev eth0", eth1)?;
    leads(vm, &from_eth1("10.9.0.1"), eth1)?;
    leads(vm, &format!("{SERVER} mark 0x102"), eth0)
}

#[test]
fn where_the_system_made_a_default_route_none_is_added() -> Result<()> {
    let scene = Scene::new("default_metric = 200")?;
    let vm = &scene.enis.vm;
    vm.run(DEFAULT_BY_ETH1)?;
    let defaults = || vm.run("ip route show exact default");
    let before = defaults()?;
    scene.ctl.done("apply")?;
    let after = defaults()?;
    ensure!(after == before, "before:\n{before}after:\n{after}");
    // Of IPv6 the system made none.
    let inet6 = vm.run("ip -6 route show exact default dev eth1")?;
    ensure!(inet6.contains(&format!("via {}", ETH1.gateway6)), "{inet6}");
    leads(vm, &format!("{SERVER} from {}", ETH0.addr), "dev eth0")
}

fn from_eth1(to: impl std::fmt::Display) -> String {
    format!("{to} from {}", ETH1.addr)
}

/// Fails unless `ip route get` answers a question so.
fn leads(vm: &Netns, question: &str, way: &str) -> Result<()> {
    let answer = vm.run(&format!("ip route get {question}"))?;
    let found = answer.contains(way);
    ensure!(found, "{question}: not {way:?} but {answer}");
    Ok(())
}
