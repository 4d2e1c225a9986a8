//! What happens to an installed gateway while traffic goes through it, up to its end.

use std::{fs, net::SocketAddrV4, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{lab::Step, topology::Topology, traffic::ECHO, udp, wait};

use super::{Args, machine::Machine};

const PATIENCE: Duration = Duration::from_secs(30);
/// How many datagrams pass before and after something happens.
const MEANWHILE: u64 = 500;
/// `routing.priority` is 20000, and a thousand from there on are ours.
const OUR_PRIORITIES: &str = "20";

/// SIGKILL, as a crash.
pub(super) fn killed(step: &mut Step, machine: &Machine, topology: &Topology) -> Result<()> {
    let first = machine.daemon()?;
    machine.run("systemctl kill --signal KILL snat-ctl")?;
    let second = another(machine, first)?;
    passed(topology, MEANWHILE)?;
    step.saw("gw", format!("process {second} took over"), true);
    Ok(())
}

/// To the next package.
pub(super) fn upgrade(
    step: &mut Step,
    machine: &Machine,
    topology: &Topology,
    args: &Args,
) -> Result<()> {
    passed(topology, MEANWHILE)?;
    let first = machine.daemon()?;
    let config = machine.root().join("etc/snat/snat.toml");
    let ours = fs::read(&config)?;
    machine.run("dpkg --install /root/next.deb")?;
    let second = another(machine, first)?;
    passed(topology, MEANWHILE)?;
    let version = machine.run("dpkg-query --show --showformat ${Version} snat-ctl")?;
    step.saw(
        "gw",
        format!("dpkg: snat-ctl {version}; process {second} took over"),
        version == args.next_version,
    );
    step.saw(
        "gw",
        "the configuration is as it was written",
        fs::read(&config)? == ours,
    );
    let status = machine.run("snat-ctl status")?;
    step.saw(
        "gw",
        format!("status: {}", status.lines().next().unwrap_or_default()),
        status.starts_with("ok"),
    );
    Ok(())
}

/// Without purging.
pub(super) fn removed(step: &mut Step, machine: &Machine, topology: &Topology) -> Result<()> {
    machine.run("dpkg --remove snat-ctl")?;
    let pins = machine.try_run("ls /sys/fs/bpf/snat")?;
    step.saw("gw", "nothing is pinned", !pins.status.success());
    let run = machine.try_run("ls /run/snat")?;
    step.saw("gw", "nothing in /run", !run.status.success());
    let [client, _] = &topology.clients;
    let server = SocketAddrV4::new(topology.server.addr, ECHO);
    let seen = udp::exchange(&client.netns, server, 0, 1)?;
    step.saw(
        "srv",
        format!("UDP from {seen}: no program is attached that would translate it"),
        seen.ip() == client.addr,
    );
    let rules = topology.gateway.netns.run("ip rule")?;
    step.saw(
        "gw",
        "no rule of ours is left",
        !rules.lines().any(|rule| rule.starts_with(OUR_PRIORITIES)),
    );
    let enabled = machine
        .root()
        .join("etc/systemd/system/multi-user.target.wants/snat-ctl.service");
    step.saw("gw", "nothing is enabled", !is_there(&enabled));
    step.saw(
        "gw",
        "configuration and log stay until the package is purged",
        ["etc/snat/snat.toml", "var/log/snat/mappings.jsonl"]
            .iter()
            .all(|path| machine.root().join(path).exists()),
    );
    Ok(())
}

/// The daemon, once it is another process than `first`, and ready.
fn another(machine: &Machine, first: Option<u32>) -> Result<u32> {
    wait::until(PATIENCE, "another daemon runs", || {
        let now = machine.daemon()?;
        let [_, active] = machine.unit()?;
        ensure!(now != first && active == "active", "{now:?}, {active}");
        now.context("none")
    })
}

/// Waits until the server has had so many more datagrams.
fn passed(topology: &Topology, datagrams: u64) -> Result<()> {
    let count = || -> Result<u64> {
        let file = topology.server.netns.run("cat /proc/net/snmp")?;
        let line = file.lines().filter(|line| line.starts_with("Udp: ")).nth(1);
        let received = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(received.context("no counter of datagrams")?.parse()?)
    };
    let goal = count()? + datagrams;
    wait::until(PATIENCE, "traffic goes on", || {
        let now = count()?;
        ensure!(now >= goal, "the server has had {now} of {goal} datagrams");
        Ok(())
    })
}

/// A link that leads nowhere is there, too.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
