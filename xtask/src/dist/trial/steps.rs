//! What an operator does with a package, one after the other, and what must be seen.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use snat_tests::{
    gateway,
    lab::{Step, Story},
    scrape::{self, Scrape},
    session::{LineServer, Session},
    topology::{Offloads, Shape, Topology},
    traffic::{ECHO, SSH},
    udp::UdpEcho,
    wait,
};

use super::{Args, files, machine::Machine, stream::Stream};

const METRICS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9469);
const PATIENCE: Duration = Duration::from_secs(30);
/// How long traffic goes on between two things that happen to the gateway.
const MEANWHILE: u64 = 500;

/// All of it. An error is of the network or the machine; whether the package was right is for the story to say.
pub(super) fn all(story: &mut Story<'_>, args: &Args) -> Result<()> {
    let topology = Topology::build(Shape::OneArm, Offloads::Off, "snat-")?;
    let server = &topology.server;
    let _lines = LineServer::start(&server.netns, SSH)?;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    for (package, name) in [(&args.package, "first.deb"), (&args.next, "next.deb")] {
        fs::copy(package, args.root.join("root").join(name))?;
    }
    let machine = Machine::boot(&args.root, &topology.gateway.netns)?;
    let before = files::list(machine.root())?;

    let installed = story.step("The package is installed on a clean Debian", |step| {
        install(step, &machine, args)
    }) && story.step("Configured, checked, enabled and started", |step| {
        start(step, &machine, &topology)
    });
    if !installed {
        bail!("the package does not run; what failed is above");
    }
    story.step("What the daemon may do", |step| {
        restrictions(step, &machine)
    });

    let lines = Session::open(
        &topology.clients[0].netns,
        SocketAddrV4::new(server.addr, SSH),
    )?;
    let datagrams = Stream::start(
        &topology.clients[1].netns,
        SocketAddrV4::new(server.addr, ECHO),
    );
    story.step("Metrics are scraped, with traffic", |step| {
        metrics(step, &topology)
    });
    story.step(
        "The daemon is killed, and systemd starts it again",
        |step| killed(step, &machine, &topology),
    );
    story.step(
        &format!("Upgrade to {}, with traffic", args.next_version),
        |step| upgrade(step, &machine, &topology, args),
    );
    story.step("What became of the traffic", |step| {
        let talked = lines.talked()?;
        let (lines, longest) = (talked.lines, talked.longest);
        step.saw(
            "c1",
            format!(
                "a TCP session: {lines} lines there and back, none held up more than {longest:.0?}"
            ),
            lines > 0,
        );
        let counted = datagrams.finish()?;
        step.saw(
            "c2",
            format!("UDP: {} sent, {} answered", counted.sent, counted.answered),
            counted.sent > 0 && counted.sent == counted.answered,
        );
        let seen: Vec<_> = counted.seen_as.into_iter().collect();
        step.saw(
            "srv",
            format!("UDP from {} all the while", seen.join(", ")),
            seen.len() == 1 && seen[0].starts_with(&topology.external.to_string()),
        );
        Ok(())
    });
    story.step("The package is removed", |step| {
        removed(step, &machine, &topology)
    });
    story.step("And purged", |step| {
        machine.run("dpkg --purge snat-ctl")?;
        let after = files::list(machine.root())?;
        let left: Vec<_> = after.difference(&before).collect();
        step.saw("gw", format!("files left: {left:?}"), left.is_empty());
        Ok(())
    });
    Ok(())
}

fn install(step: &mut Step, machine: &Machine, args: &Args) -> Result<()> {
    machine.run("dpkg --install /root/first.deb")?;
    let version = machine.run("dpkg-query --show --showformat ${Version} snat-ctl")?;
    step.saw(
        "gw",
        format!("dpkg: snat-ctl {version}"),
        version == args.version,
    );
    let [enabled, active] = states(machine)?;
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

fn start(step: &mut Step, machine: &Machine, topology: &Topology) -> Result<()> {
    let metrics = format!(
        "\n[metrics]\nlisten = \"{METRICS}\"\n\n[log]\nmappings = \"/var/log/snat/mappings.jsonl\"\n"
    );
    let config = gateway::config(topology, "default", "auto") + &metrics;
    fs::write(machine.root().join("etc/snat/snat.toml"), config)?;
    topology.gateway.netns.sysctl("net/ipv4/ip_forward", "0")?;
    let check = machine.run("snat-ctl check --fix")?;
    step.saw("gw", check.lines().last().unwrap_or_default(), true);
    machine.run("systemctl enable --now --quiet snat-ctl")?;
    let [enabled, active] = states(machine)?;
    let status = machine.run("snat-ctl status")?;
    step.saw(
        "gw",
        format!(
            "the unit is {enabled} and {active}; status: {}",
            status.lines().next().unwrap_or_default()
        ),
        enabled == "enabled" && active == "active" && status.starts_with("ok"),
    );
    Ok(())
}

fn restrictions(step: &mut Step, machine: &Machine) -> Result<()> {
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

fn metrics(step: &mut Step, topology: &Topology) -> Result<()> {
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

fn killed(step: &mut Step, machine: &Machine, topology: &Topology) -> Result<()> {
    let first = machine.daemon()?;
    machine.run("systemctl kill --signal KILL snat-ctl")?;
    let second = another(machine, first)?;
    passed(topology, MEANWHILE)?;
    step.saw("gw", format!("process {second} took over"), true);
    Ok(())
}

fn upgrade(step: &mut Step, machine: &Machine, topology: &Topology, args: &Args) -> Result<()> {
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

fn removed(step: &mut Step, machine: &Machine, topology: &Topology) -> Result<()> {
    machine.run("dpkg --remove snat-ctl")?;
    let pins = machine.try_run("ls /sys/fs/bpf/snat")?;
    step.saw("gw", "nothing is pinned", !pins.status.success());
    let run = machine.try_run("ls /run/snat")?;
    step.saw("gw", "nothing in /run", !run.status.success());
    let attached = topology.gateway.netns.run("bpftool net")?;
    step.saw("gw", "no program is attached", !attached.contains("snat"));
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
        let [_, active] = states(machine)?;
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

/// Whether the unit is enabled, and active, in systemd's words.
fn states(machine: &Machine) -> Result<[String; 2]> {
    let ask = |what: &str| -> Result<String> {
        let output = machine.try_run(&format!("systemctl {what} snat-ctl"))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    Ok([ask("is-enabled")?, ask("is-active")?])
}

/// A link that leads nowhere is there, too.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
