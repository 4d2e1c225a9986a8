//! `drops --pcap`: files that cannot be had, disks that are full, readers that follow.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use snat_common::Verdict;
use snat_tests::{
    netns::output,
    ping::ping,
    program,
    raw::Packet,
    scene::{Plan, Scene},
    sender::Sender,
    wait,
};
use std::net::SocketAddrV4;

use crate::{SOON, watcher::Watcher};

#[test]
fn a_file_that_is_there_is_kept_unless_it_may_be_overwritten() -> Result<()> {
    let scene = scene()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("there");
    fs::write(&file, "of yesterday")?;
    let path = file.to_str().context("its path")?;
    refused(&scene, path, &["is there already", "--force"])?;
    ensure!(fs::read_to_string(&file)? == "of yesterday");
    Watcher::start(&scene, &["--pcap", path, "--force"])?.end()?;
    ensure!(frames(&file)? == 0);
    Ok(())
}

#[test]
fn a_file_is_overwritten_only_once_the_drops_are_watched() -> Result<()> {
    let scene = scene()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("there");
    fs::write(&file, "of yesterday")?;
    let path = file.to_str().context("its path")?;
    let pins = scene.gateway.pins();
    // No ring is where the reports should be.
    fs::rename(pins.join("DROPS"), pins.join("ring"))?;
    fs::rename(pins.join("WATCH"), pins.join("DROPS"))?;
    fs::rename(pins.join("ring"), pins.join("WATCH"))?;
    let ended = scene
        .gateway
        .ctl_output(&["drops", "--pcap", path, "--force"])?;
    ensure!(ended.status.code() == Some(1), "{ended:?}");
    ensure!(fs::read_to_string(&file)? == "of yesterday");
    Ok(())
}

#[test]
fn a_time_longer_than_the_clock_goes_is_for_ever() -> Result<()> {
    let scene = scene()?;
    let long = ["--watch", "--duration", "300000000000y"];
    Watcher::start(&scene, &long)?.end()?;
    Ok(())
}

#[test]
fn a_place_that_cannot_be_written_is_named() -> Result<()> {
    let scene = scene()?;
    refused(
        &scene,
        "/proc/drops.pcapng",
        &["cannot make /proc/drops.pcapng"],
    )?;
    refused(
        &scene,
        "/nonexistent/a",
        &["cannot make /nonexistent/a", "No such file"],
    )?;
    refused(&scene, "/tmp", &["cannot open /tmp", "directory"])
}

#[test]
fn a_full_disk_ends_it_and_what_was_written_can_be_read() -> Result<()> {
    let scene = scene()?;
    let dir = tempfile::tempdir()?;
    // In the test's own mount namespace, as all of them are.
    let small = ["-t", "tmpfs", "-o", "size=64k", "none"];
    output(Command::new("mount").args(small).arg(dir.path()))?;
    let file = dir.path().join("drops.pcapng");
    let path = file.to_str().context("its path")?;
    let mut watcher = Watcher::start(&scene, &["--pcap", path, "--per-second", "100000"])?;
    drop_many(&scene, 1000)?;
    let error = watcher.wait().err().context("it went on")?;
    let read = frames(&file);
    let written = fs::metadata(&file).map(|file| file.len());
    output(Command::new("umount").arg(dir.path()))?;
    ensure!(
        error.to_string().contains("ended with exit status: 1")
            && error.to_string().contains("No space left"),
        "{error}"
    );
    let read = read?;
    ensure!(read > 50, "{read} frames in {written:?} bytes");
    Ok(())
}

#[test]
fn the_file_can_be_read_while_it_is_written_and_from_a_pipe() -> Result<()> {
    let scene = scene()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("drops.pcapng");
    let path = file.to_str().context("its path")?;
    let watcher = Watcher::start(&scene, &["--pcap", path])?;
    drop_many(&scene, 3)?;
    wait::until(SOON, "three are in the file", || {
        let read = frames(&file)?;
        ensure!(read == 3, "{read}");
        Ok(())
    })?;
    watcher.end()?;

    let pipe = dir.path().join("pipe");
    output(Command::new("mkfifo").arg(&pipe))?;
    let reader = Command::new("cat")
        .arg(&pipe)
        .stdout(Stdio::piped())
        .spawn()?;
    let path = pipe.to_str().context("its path")?;
    let mut watcher = Watcher::start(&scene, &["--pcap", path, "--count", "2"])?;
    drop_many(&scene, 2)?;
    watcher.wait()?;
    let through = dir.path().join("through.pcapng");
    fs::write(&through, reader.wait_with_output()?.stdout)?;
    let read = tshark(&through, &["frame.comment"])?;
    let comment = format!("snat: icmp_type: {}", Verdict::IcmpType.describe().trim());
    ensure!(read.lines().eq([&comment[..]; 2]), "{read}");
    Ok(())
}

/// What a dropped packet looked like, its interface and way included.
#[test]
fn a_frame_has_its_length_interface_direction_and_time() -> Result<()> {
    let scene = scene()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("drops.pcapng");
    let path = file.to_str().context("its path")?;
    let mut watcher = Watcher::start(&scene, &["--pcap", path, "--count", "1"])?;
    let client = &scene.topology.clients[0];
    let to = SocketAddrV4::new([169, 254, 1, 1].into(), 53);
    Packet::udp(SocketAddrV4::new(client.addr, 4000), to, 1000).send(&client.netns)?;
    watcher.wait()?;
    let fields = [
        "frame.len",
        "frame.cap_len",
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.time_epoch",
    ];
    let read = tshark(&file, &fields)?;
    let words: Vec<_> = read.trim().split('\t').collect();
    let [len, captured, interface, direction, time] = words[..] else {
        anyhow::bail!("{read}");
    };
    ensure!((len, captured) == ("1042", "256"), "{read}");
    ensure!(interface == "eth1", "{read}");
    ensure!(
        u32::from_str_radix(direction.trim_start_matches("0x"), 16)? == 1,
        "{read}"
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    ensure!(
        (now.as_secs_f64() - time.parse::<f64>()?).abs() < 60.0,
        "{read}"
    );
    Ok(())
}

fn scene() -> Result<Scene> {
    let scene = Plan::routed("tc").start()?;
    let topology = &scene.topology;
    ping(&topology.clients[0].netns, topology.server.addr, 1, 1)?;
    Ok(scene)
}

fn drop_many(scene: &Scene, count: usize) -> Result<()> {
    let client = &scene.topology.clients[0];
    let packet = Packet::icmp(client.addr, scene.topology.server.addr, 13, 0, &[0; 300]);
    let sender = Sender::open(&client.netns)?;
    (0..count).try_for_each(|_| sender.send(&packet))
}

fn refused(scene: &Scene, path: &str, told: &[&str]) -> Result<()> {
    let ended = scene.gateway.ctl_output(&["drops", "--pcap", path])?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(1), "{ended:?}");
    for part in told {
        ensure!(said.contains(part), "it never says {part:?}: {said}");
    }
    Ok(())
}

fn frames(file: &Path) -> Result<usize> {
    Ok(tshark(file, &["frame.number"])?.lines().count())
}

fn tshark(file: &Path, fields: &[&str]) -> Result<String> {
    let mut command = Command::new(program::find("tshark")?);
    command.arg("-r").arg(file).args(["-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    output(&mut command)
}
