//! What can't be done is told, and nothing is changed.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    gateway::program,
    netns::{command, output},
    observe::bpftool,
};

use crate::ground::Ground;

const COMMANDS: [&[&str]; 6] = [
    &["flows"],
    &["flows", "watch", "--count", "1"],
    &["flows", "show", "udp", "172.16.1.11"],
    &["flows", "flush", "--all", "--yes"],
    &["pools"],
    &["explain", "udp", "172.16.1.11", "198.51.100.20"],
];

#[test]
fn an_instance_that_is_not_there_is_named() -> Result<()> {
    for arguments in COMMANDS {
        let mut ctl = Command::new(program()?);
        ctl.args(["--name", "nobody"]).args(arguments);
        refused(&mut ctl, "no datapath of instance \"nobody\" is loaded")?;
    }
    Ok(())
}

#[test]
fn without_the_permission_nothing_is_seen_and_nothing_removed() -> Result<()> {
    let ground = Ground::start("tc")?;
    let netns = ground.scene.topology.gateway.netns.name();
    let name = ground.scene.gateway.name();
    for arguments in COMMANDS {
        let mut ctl = command(netns, "setpriv");
        ctl.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        ctl.arg(program()?).args(["--name", name]).args(arguments);
        refused(&mut ctl, "run as root")?;
    }
    ensure!(ground.set(&[])?.len() == 6);
    ground.session.finish().map(drop)
}

#[test]
fn maps_of_another_version_are_left_alone() -> Result<()> {
    let mut ground = Ground::start("tc")?;
    // It writes its settings whenever a link changes.
    ground.scene.gateway.stop()?;
    let gateway = &ground.scene.gateway;
    let settings = gateway.pins().join("SETTINGS");
    let settings = settings.to_str().context("a path")?;
    let dumped = bpftool(&["map", "dump", "pinned", settings])?;
    let bytes = dumped[0]["value"].as_array().context("no bytes")?;
    let mut bytes: Vec<_> = bytes.iter().filter_map(Value::as_str).collect();
    let mine = bytes[0];
    let write = |bytes: &[&str]| {
        let key = [
            "map", "update", "pinned", settings, "key", "0", "0", "0", "0", "value",
        ];
        output(Command::new("bpftool").args(key).args(bytes))
    };
    bytes[0] = "0x63";
    write(&bytes)?;
    for arguments in COMMANDS {
        let netns = ground.scene.topology.gateway.netns.name();
        let mut ctl = command(netns, program()?);
        ctl.args(["--name", gateway.name()]).args(arguments);
        refused(&mut ctl, "its ABI version is 99")?;
    }
    bytes[0] = mine;
    write(&bytes)?;
    ensure!(ground.set(&[])?.len() == 6);
    ground.session.finish().map(drop)
}

fn refused(command: &mut Command, says: &str) -> Result<()> {
    let ended = command.output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.code() == Some(1) && ended.stdout.is_empty() && said.contains(says),
        "{command:?}: {ended:?}"
    );
    ensure!(said.lines().count() == 1, "{said}");
    Ok(())
}
