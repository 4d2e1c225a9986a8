//! The package is installed, and the daemon starts for the first time.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway,
    lab::Step,
    scrape::{self, Scrape},
    topology::Topology,
    wait,
};

use super::{Args, machine::Machine};

const PATIENCE: Duration = Duration::from_secs(30);
const METRICS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9469);
/// So that the daemon writes to every place that it may have to, and attaches to cgroups as well.
const MORE: &str = r#"
[metrics]
listen = "127.0.0.1:9469"

[log]
mappings = "/var/log/snat/mappings.jsonl"

[[eni]]
match  = { name = "eth0" }
weight = 1
"#;

/// The package is there, and nothing runs yet.
pub(super) fn install(step: &mut Step, machine: &Machine, args: &Args) -> Result<()> {
    machine.run("dpkg --install /root/first.deb")?;
    let version = machine.run("dpkg-query --show --showformat ${Version} snat-ctl")?;
    step.saw(
        "gw",
        format!("dpkg: snat-ctl {version}"),
        version == args.version,
    );
    let [enabled, active] = machine.unit()?;
    step.saw(
        "gw",
        format!("the unit is {enabled} and {active}: nothing is translated by surprise"),
        enabled == "disabled" && active == "inactive",
    );
    for [what, path] in [
        [
            "completions",
            "usr/share/bash-completion/completions/snat-ctl",
        ],
        ["manual pages", "usr/share/man/man1/snat-ctl-run.1.gz"],
        [
            "the dashboard",
            "usr/share/doc/snat-ctl/examples/grafana-dashboard.json",
        ],
    ] {
        step.saw("gw", what, machine.root().join(path).is_file());
    }
    Ok(())
}

/// What a person does then.
pub(super) fn start(step: &mut Step, machine: &Machine, topology: &Topology) -> Result<()> {
    let config = gateway::config(topology, "default", "auto") + MORE;
    fs::write(machine.root().join("etc/snat/snat.toml"), config)?;
    topology.gateway.netns.sysctl("net/ipv4/ip_forward", "0")?;
    let check = machine.run("snat-ctl check --fix")?;
    step.saw("gw", check.lines().last().unwrap_or_default(), true);
    machine.run("systemctl enable --now --quiet snat-ctl")?;
    let [enabled, active] = machine.unit()?;
    let status = machine.run("snat-ctl status")?;
    step.saw(
        "gw",
        format!(
            "the unit is {enabled} and {active}; status: {}",
            status.lines().next().unwrap_or_default()
        ),
        enabled == "enabled" && active == "active" && status.starts_with("ok"),
    );
    machine.run("snat-ctl eni verify")?;
    step.saw(
        "gw",
        "eni verify: policy routes and shares as intended",
        true,
    );
    Ok(())
}

/// The unit holds what it says.
pub(super) fn restrictions(step: &mut Step, machine: &Machine) -> Result<()> {
    let daemon = machine.daemon()?.context("no daemon")?;
    let status = machine.run(&format!("cat /proc/{daemon}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default()
    };
    let bits = u64::from_str_radix(field("CapBnd:"), 16)?;
    let names = machine.run("systemctl show --property CapabilityBoundingSet --value snat-ctl")?;
    step.saw(
        "gw",
        format!("capabilities: {}", names.trim()),
        bits != 0 && bits.count_ones() as usize == names.split_whitespace().count(),
    );
    step.saw(
        "gw",
        "no new privileges; system calls are filtered",
        field("NoNewPrivs:") == "1" && field("Seccomp:") == "2",
    );
    let touch = format!(
        "nsenter --target {daemon} --mount touch /etc/snat/new /proc/sys/net/ipv4/ip_forward"
    );
    let refused = machine.try_run(&touch)?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    step.saw(
        "gw",
        "what it sees of /etc and /proc/sys is read-only",
        said.matches("Read-only file system").count() == 2,
    );
    let rating = machine.run("systemd-analyze security --no-pager snat-ctl")?;
    let rating = rating.lines().last().unwrap_or_default();
    step.saw("gw", rating.trim_start_matches(['→', ' ']), true);
    Ok(())
}

/// Figures and health over HTTP.
pub(super) fn metrics(step: &mut Step, topology: &Topology) -> Result<()> {
    let netns = &topology.gateway.netns;
    let flows = wait::until(PATIENCE, "the flows are in the metrics", || {
        let page = scrape::get(netns, METRICS, "/metrics")?;
        ensure!(page.code == 200, "HTTP {}", page.code);
        let flows = Scrape::parse(&page.body)?.sum("snat_flows");
        ensure!(flows >= 2.0, "{flows} flows");
        Ok(flows)
    })?;
    step.saw("gw", format!("/metrics: {flows} flows"), true);
    let health = scrape::get(netns, METRICS, "/healthz")?;
    step.saw(
        "gw",
        format!("/healthz: {}", health.body.trim()),
        health.code == 200,
    );
    Ok(())
}
