//! `snat-ctl unload` leaves nothing of the instance and everything of others.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, ensure};
use snat_tests::{
    foreign::{Counter, Hook},
    gateway::{Gateway, config},
    link::{connect, end},
    netns::Netns,
    observe::Objects,
    ping::ping,
    topology::{Offloads, Shape, Topology, unique_prefix},
    wait,
};

#[test]
fn unload_stops_the_daemon_and_leaves_nothing() -> Result<()> {
    leaves_nothing("xdp", |_| Ok(()), "daemon stopped")
}

#[test]
fn unload_after_the_daemon_has_left_leaves_nothing() -> Result<()> {
    leaves_nothing("xdp-generic", Gateway::stop, "detached and removed")
}

#[test]
fn unload_after_the_daemon_was_killed_leaves_nothing() -> Result<()> {
    leaves_nothing("tc", Gateway::kill, "detached and removed")
}

#[test]
fn detach_on_exit_leaves_nothing() -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let name = format!("{prefix}unload");
    let config = config(&topology, &name, "xdp");
    let mut gateway = Gateway::start_args(&topology, &name, &config, &["--detach-on-exit"])?;
    ping(&topology.clients[0].netns, topology.server.addr, 1, 1)?;
    let before = all_alive(&gateway)?;
    gateway.stop()?;
    nothing_left(&gateway, &before)
}

#[test]
fn programs_of_others_stay_and_run_through_load_and_unload() -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let gw = &topology.gateway.netns;
    let other = Netns::create(&format!("{prefix}other"))?;
    connect(
        end(gw, "eth9", [192, 0, 2, 1], 30),
        end(&other, "eth0", [192, 0, 2, 2], 30),
    )?;
    let filter = Counter::attach(gw, "eth1", Hook::Clsact)?;
    let elsewhere = Counter::attach(gw, "eth9", Hook::Xdp)?;
    let before_ours = Counter::attach(gw, "eth1", Hook::TcxIngress)?;
    let name = format!("{prefix}beside");
    let gateway = Gateway::start_with(&topology, &name, &config(&topology, &name, "tc"))?;
    let behind_ours = Counter::attach(gw, "eth1", Hook::TcxIngress)?;
    let on_the_way_out = Counter::attach(gw, "eth0", Hook::TcxEgress)?;

    let all_run = |when: &str| -> Result<()> {
        let counters = || -> Result<[u64; 5]> {
            Ok([
                elsewhere.packets()?,
                before_ours.packets()?,
                behind_ours.packets()?,
                on_the_way_out.packets()?,
                filter.packets()?,
            ])
        };
        let before = counters()?;
        ping(&other, std::net::Ipv4Addr::new(192, 0, 2, 1), 1, 3)?;
        ping(&topology.clients[0].netns, topology.gateway.addr, 2, 3)?;
        ping(gw, topology.server.addr, 3, 3)?;
        wait::until(Duration::from_secs(2), &format!("all count {when}"), || {
            let now = counters()?;
            let grown = before
                .iter()
                .zip(now)
                .all(|(before, now)| now >= before + 3);
            ensure!(grown, "{before:?} became {now:?}");
            Ok(())
        })
    };
    all_run("beside the gateway")?;
    ping(&topology.clients[0].netns, topology.server.addr, 4, 3)?;
    gateway.ctl(&["unload"])?;
    all_run("after it")
}

fn start(datapath: &str, shape: Shape) -> Result<(Topology, Gateway)> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let gateway = Gateway::start(&topology, &format!("{prefix}unload"), datapath)?;
    Ok((topology, gateway))
}

fn leaves_nothing(
    datapath: &str,
    end: impl Fn(&mut Gateway) -> Result<()>,
    says: &str,
) -> Result<()> {
    let (topology, mut gateway) = start(datapath, Shape::Routed)?;
    ping(&topology.clients[0].netns, topology.server.addr, 1, 1)?;
    let before = all_alive(&gateway)?;
    end(&mut gateway)?;
    let said = gateway.ctl(&["unload"])?;
    ensure!(said.contains(says), "{said}");
    nothing_left(&gateway, &before)?;
    let said = gateway.ctl(&["unload"])?;
    ensure!(
        said.contains("nothing was loaded"),
        "the second time: {said}"
    );
    let net = topology.gateway.netns.run("bpftool -j net show")?;
    ensure!(!net.contains("snat_"), "still attached: {net}");
    Ok(())
}

fn all_alive(gateway: &Gateway) -> Result<Objects> {
    let objects = gateway.objects()?;
    ensure!(
        objects.alive()? == objects && objects.links.len() >= 4,
        "{objects:?}"
    );
    Ok(objects)
}

fn nothing_left(gateway: &Gateway, before: &Objects) -> Result<()> {
    ensure!(!gateway.pins().exists(), "pins are left");
    for suffix in ["json", "json.new", "lock"] {
        let path = format!("/run/snat/{}.{suffix}", gateway.name());
        ensure!(!Path::new(&path).exists(), "{path} is left");
    }
    if let Ok(mut entries) = fs::read_dir("/sys/fs/bpf/snat") {
        let named = |name: &str| name.contains(gateway.name());
        let left = entries.find(|entry| {
            entry
                .as_ref()
                .is_ok_and(|entry| entry.file_name().to_str().is_some_and(named))
        });
        ensure!(left.is_none(), "{left:?}");
    }
    // The kernel frees them a moment after the last reference is gone.
    wait::until(Duration::from_secs(5), "the kernel has let all go", || {
        let left = before.alive()?;
        ensure!(left == Objects::default(), "{left:?}");
        Ok(())
    })
}
