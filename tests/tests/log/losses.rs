//! Where the log cannot keep up.

use std::{net::UdpSocket, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use snat_tests::{
    netns::output,
    scene::Plan,
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};
use tempfile::TempDir;

use crate::book::{Logged, SOON, lines};

/// More than the ring buffer has room for: 1 MiB of records with a header, of 40 bytes each.
const MANY: u16 = 30_000;

#[test]
fn what_the_ring_had_no_room_for_is_counted_in_the_log() -> Result<()> {
    let mut logged = Logged::start("tc", "destinations = true", "", "")?;
    logged.scene.gateway.kill()?;
    let topology = &logged.scene.topology;
    topology.clients[0].netns.enter(|| {
        let socket = UdpSocket::bind(("0.0.0.0", 4000))?;
        for port in 10_000..10_000 + MANY {
            socket.send_to(b"hello", (topology.server.addr, port))?;
        }
        Ok(())
    })?;
    logged.scene.gateway.start_again()?;
    let flows = logged.scene.gateway.flows()?.len();
    ensure!(flows > 27_000, "only {flows} flows were opened");
    wait::until(SOON, "all that is left is written", || {
        ensure!(logged.book.count("flow_present")? == flows);
        Ok(())
    })?;
    let lines = logged.book.lines()?;
    let last = lines.iter().rfind(|line| line["event"] == "log_started");
    let lost = last.context("never started")?["lost_total"].as_u64();
    let lost = usize::try_from(lost.context("no lost_total")?)?;
    let logged_ones = logged.book.count("flow_opened")? + logged.book.count("mapping_made")?;
    ensure!(lost > 0, "nothing was lost");
    ensure!(
        logged_ones + lost == flows + 1,
        "{logged_ones} logged, {lost} lost, {flows} flows of one mapping"
    );
    Ok(())
}

#[test]
fn a_full_disk_stops_neither_packets_nor_the_log_once_there_is_room_again() -> Result<()> {
    let disk = Disk::of("16k")?;
    let path = disk.0.path().join("log");
    let sections = format!("\n[log]\nmappings = {path:?}\n");
    let scene = Plan {
        sections: &sections,
        ..Plan::routed("xdp")
    }
    .start()?;
    let server = &scene.topology.server;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    let client = &scene.topology.clients[0].netns;
    let to = std::net::SocketAddrV4::new(server.addr, ECHO);
    let ports = 4000..4200;
    for port in ports.clone() {
        udp::exchange(client, to, port, 1)?;
    }
    wait::until(SOON, "the daemon says that the disk is full", || {
        let said = scene.gateway.log();
        ensure!(said.contains("cannot write: No space left"), "{said}");
        Ok(())
    })?;
    udp::exchange(client, to, 5000, 1).context("with a full disk")?;
    let before = lines_of(&path)?;
    ensure!(before < ports.len(), "the disk was never full");

    disk.grow()?;
    wait::until(SOON, "everything is in the log", || {
        let lines = lines(&path)?;
        let made = lines.iter().filter(|line| line["event"] == "mapping_made");
        ensure!(made.count() == ports.len() + 1, "{} lines", lines.len());
        ensure!(lines.iter().all(|line| line["event"] != "records_lost"));
        Ok(())
    })
}

/// Whole lines.
fn lines_of(path: &Path) -> Result<usize> {
    Ok(std::fs::read(path)?
        .iter()
        .filter(|byte| **byte == b'\n')
        .count())
}

/// A file system of a size.
struct Disk(TempDir);

impl Disk {
    fn of(size: &str) -> Result<Self> {
        let dir = TempDir::new()?;
        let size = format!("size={size}");
        let (none, flags) = (None::<&str>, MsFlags::empty());
        mount(none, dir.path(), Some("tmpfs"), flags, Some(size.as_str()))?;
        Ok(Self(dir))
    }

    fn grow(&self) -> Result<()> {
        let mut remount = Command::new("mount");
        remount.args(["-o", "remount,size=1m"]).arg(self.0.path());
        output(&mut remount).map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        umount2(self.0.path(), MntFlags::MNT_DETACH).ok();
    }
}
