//! What cannot be taken over or gone back to is refused, and traffic does not notice.

use std::{net::SocketAddrV4, process::Command};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{Gateway, program},
    netns::output,
    observe::bpftool,
    scene::{Plan, Scene},
    session::{LineServer, Session},
    stream::Stream,
};

const LINES: u16 = 22;
const STREAM: u16 = 9;

#[test]
fn a_rollback_without_an_earlier_build_is_refused() -> Result<()> {
    unnoticed(|gateway| {
        let said = refusal(gateway, &["--rollback"])?;
        ensure!(
            said.contains("no programs of another build are kept; nothing was changed"),
            "{said}"
        );
        Ok(())
    })
}

#[test]
fn maps_of_a_newer_version_are_refused() -> Result<()> {
    unnoticed(|gateway| other_abi(gateway, 1))
}

#[test]
fn maps_of_an_older_version_are_refused() -> Result<()> {
    unnoticed(|gateway| other_abi(gateway, -1))
}

#[test]
fn another_room_for_flows_is_refused() -> Result<()> {
    unnoticed(|gateway| {
        let text = std::fs::read_to_string(gateway.config())?;
        let more = text.replacen("datapath", "max_flows = 4096\ndatapath", 1);
        std::fs::write(gateway.config(), more)?;
        let said = refusal(gateway, &[])?;
        ensure!(said.contains("gateway.max_flows says 4096"), "{said}");
        ensure!(said.contains("nothing was changed"), "{said}");
        std::fs::write(gateway.config(), text)?;
        Ok(())
    })
}

/// Writes another ABI version into the settings, as a datapath of that version would have it.
fn other_abi(gateway: &mut Gateway, by: i32) -> Result<()> {
    let pin = gateway.pins().join("SETTINGS");
    let pin = pin.to_str().context("a path")?;
    let read = || -> Result<Vec<u8>> {
        let dump = bpftool(&["map", "lookup", "pinned", pin, "key", "0", "0", "0", "0"])?;
        let value = dump["value"].as_array().context("bytes")?;
        value
            .iter()
            .map(|byte| {
                let text = byte.as_str().context("a byte")?.trim_start_matches("0x");
                Ok(u8::from_str_radix(text, 16)?)
            })
            .collect()
    };
    let write = |bytes: &[u8]| {
        let mut command = Command::new("bpftool");
        command.args([
            "map", "update", "pinned", pin, "key", "0", "0", "0", "0", "value",
        ]);
        output(command.args(bytes.iter().map(u8::to_string))).map(drop)
    };
    let right = read()?;
    let abi = i32::from_ne_bytes(right[..4].try_into()?);
    let mut wrong = right.clone();
    wrong[..4].copy_from_slice(&(abi + by).to_ne_bytes());
    write(&wrong)?;
    for arguments in [&[][..], &["--rollback"]] {
        let said = refusal(gateway, arguments)?;
        let right = arguments.is_empty();
        ensure!(
            !right
                || said.contains(&format!(
                    "its ABI version is {}, this snat-ctl's is {abi}",
                    abi + by
                )),
            "{said}"
        );
        ensure!(said.contains("nothing was changed"), "{said}");
    }
    write(&right)
}

/// With a session and a stream through it, what `attempt` does changes nothing that is in the kernel.
fn unnoticed(attempt: impl FnOnce(&mut Gateway) -> Result<()>) -> Result<()> {
    let Scene {
        mut gateway,
        topology,
    } = Plan::routed("xdp").start()?;
    let [client, other] = &topology.clients;
    let server = &topology.server;
    let _lines = LineServer::start(&server.netns, LINES)?;
    let session = Session::open(&other.netns, SocketAddrV4::new(server.addr, LINES))?;
    let stream = Stream::start(&client.netns, &server.netns, server.addr, STREAM, 2_000)?;
    gateway.stop()?;
    let before = gateway.objects()?;
    attempt(&mut gateway)?;
    let after = gateway.objects()?;
    ensure!(after == before, "{before:?} became {after:?}");
    gateway.start_again().context("as it was before")?;
    session.finish()?;
    stream.finish().map(drop)
}

/// What a start says that must end by itself, with 1.
fn refusal(gateway: &Gateway, arguments: &[&str]) -> Result<String> {
    let mut command = snat_tests::netns::command(gateway.netns(), "timeout");
    let run = command.arg("20").arg(program()?).args(["run", "--config"]);
    let ended = run.arg(gateway.config()).args(arguments).output()?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(
        ended.status.code() == Some(1),
        "ended with {}: {said}",
        ended.status
    );
    Ok(said)
}
