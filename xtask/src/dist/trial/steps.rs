//! What an operator does with a package, one after the other, and what must be seen.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddrV4,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use snat_tests::{
    lab::{Step, Story},
    session::{LineServer, Session},
    topology::{Offloads, Shape, Topology},
    traffic::{ECHO, SSH},
    udp::UdpEcho,
};

use super::{Args, changes, files, first, machine::Machine, stream::Stream};

/// All of it. An error is of the network or the machine; whether the package was right is for the story to say.
pub(super) fn all(story: &mut Story<'_>, args: &Args, root: &Path) -> Result<()> {
    let topology = Topology::build(Shape::OneArm, Offloads::Off, "snat-")?;
    let server = &topology.server;
    let _lines = LineServer::start(&server.netns, SSH)?;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    for (package, name) in [(&args.package, "first.deb"), (&args.next, "next.deb")] {
        fs::copy(package, root.join("root").join(name))?;
    }
    let machine = Machine::boot(root, &topology.gateway.netns)?;
    let before = files::list(machine.root())?;

    let installed = story.step("The package is installed on a clean Debian", |step| {
        first::install(step, &machine, args)
    }) && story.step("Configured, checked, enabled and started", |step| {
        first::start(step, &machine, &topology)
    });
    if !installed {
        bail!("the package does not run; what failed is above");
    }
    story.step("What the daemon may do", |step| {
        first::restrictions(step, &machine)
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
        first::metrics(step, &topology)
    });
    story.step(
        "The daemon is killed, and systemd starts it again",
        |step| changes::killed(step, &machine, &topology),
    );
    story.step(
        &format!("Upgrade to {}, with traffic", args.next_version),
        |step| changes::upgrade(step, &machine, &topology, args),
    );
    story.step("What became of the traffic", |step| {
        traffic(step, lines, datagrams, &topology)
    });
    story.step("The package is removed", |step| {
        changes::removed(step, &machine, &topology)
    });
    story.step("And purged", |step| purged(step, &machine, &before));
    Ok(())
}

fn traffic(step: &mut Step, lines: Session, datagrams: Stream, topology: &Topology) -> Result<()> {
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
}

fn purged(step: &mut Step, machine: &Machine, before: &BTreeSet<PathBuf>) -> Result<()> {
    machine.run("dpkg --purge snat-ctl")?;
    let after = files::list(machine.root())?;
    let left: Vec<_> = after.difference(before).collect();
    step.saw("gw", format!("files left: {left:?}"), left.is_empty());
    Ok(())
}
