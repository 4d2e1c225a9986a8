//! Explaining reads and never writes, and says clearly what it can't read.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{Gateway, program},
    netns::{Netns, command, output},
    observe::bpftool,
};

use crate::{cases::Generator, ground::Ground, world::CONFIG};

const CASES: u32 = 40;

#[test]
fn explaining_changes_no_map() -> Result<()> {
    let ground = Ground::start("tc", CONFIG)?;
    let mut generator = Generator::new(3);
    for number in 0..CASES {
        let case = generator.next();
        generator.note(&case, &ground.explain(&case)?);
        ground.send(&case, number)?;
    }
    let before = maps(&ground.gateway)?;
    ensure!(before.len() > 20 && before["FLOWS"].len() > 1000);
    for _ in 0..CASES {
        let case = generator.next();
        generator.note(&case, &ground.explain(&case)?);
    }
    for line in [
        "explain tcp 172.16.1.11 198.51.100.20 --reply",
        "explain udp 172.16.7.5:7 203.0.113.13:4003 --reply",
        "explain tcp 198.51.100.20 203.0.113.10:8443 --reply",
    ] {
        ground.gateway.ctl(&line.split(' ').collect::<Vec<_>>())?;
    }
    let after = maps(&ground.gateway)?;
    for (name, dump) in &before {
        ensure!(after[name] == *dump, "{name} has changed");
    }
    Ok(())
}

#[test]
fn the_reply_is_explained_as_if_the_packet_had_been_sent() -> Result<()> {
    let ground = Ground::start("tc", CONFIG)?;
    let question = ["explain", "tcp", "172.16.1.11:4000", "198.51.100.20:80"];
    let sent = ground.gateway.ctl_json(&question)?;
    let reply = ground
        .gateway
        .ctl_json(&[&question[..], &["--reply"]].concat())?;
    ensure!(reply["verdict"] == "translated_in", "{reply:#}");
    ensure!(
        reply["packet"]["dst"] == sent["leaves_as"]["src"],
        "{reply:#}"
    );
    ensure!(
        reply["leaves_as"]["dst"] == sent["packet"]["src"],
        "{reply:#}"
    );
    ensure!(reply["egress"] == "eth1" && reply["packet"]["in"] == "eth0");
    Ok(())
}

#[test]
fn each_decision_names_the_line_that_it_rests_on() -> Result<()> {
    let ground = Ground::start("tc", CONFIG)?;
    let config = ground.gateway.config().display().to_string();
    let line = |text: &str| {
        let line = CONFIG.lines().position(|line| line.contains(text));
        line.map(|index| format!("{config} line {}", index + 1))
    };
    for (question, what, text) in [
        ("udp 172.16.3.5 198.51.100.20", "source", "172.16.3.0/24"),
        ("udp 172.16.3.5 172.20.0.1", "bypass", "172.20.0.0/16"),
        (
            "tcp 198.51.100.20 203.0.113.10:8443",
            "mapping",
            "203.0.113.10:8443",
        ),
        ("tcp 172.16.1.11 192.0.2.5", "interface", "interfaces"),
    ] {
        let words: Vec<_> = question.split(' ').collect();
        let explanation = ground
            .gateway
            .ctl_json(&[&["explain"], &words[..]].concat())?;
        let decisions = explanation["decisions"]
            .as_array()
            .context("no decisions")?;
        let decision = decisions.iter().find(|decision| decision["what"] == what);
        let decision = decision.with_context(|| format!("no {what}: {explanation:#}"))?;
        let place = line(text).context("not in the configuration")?;
        let rests_on = decision["rests_on"].as_str().unwrap_or_default();
        ensure!(rests_on.ends_with(&place), "{rests_on:?}, not {place:?}");
    }
    fs::write(ground.gateway.config(), "")?;
    let screen = ground
        .gateway
        .ctl(&["explain", "udp", "172.16.3.5", "198.51.100.20"])?;
    ensure!(screen.contains("has changed since"), "{screen}");
    Ok(())
}

#[test]
fn what_cannot_be_explained_is_refused_with_what_to_do() -> Result<()> {
    let ground = Ground::start("tc", CONFIG)?;
    for (question, code, words) in [
        (
            "tcp 172.16.1.11 198.51.100.20 --in eth7",
            1,
            "no interface \"eth7\"",
        ),
        ("tcp 203.0.113.10 198.51.100.20", 1, "name it with --in"),
        ("tcp 172.16.1.11 nowhere", 2, "accepted: an IPv4 address"),
        (
            "tcp 172.16.1.11 198.51.100.20 --flags sny",
            2,
            "accepted: fin, syn",
        ),
    ] {
        let words_of: Vec<_> = question.split(' ').collect();
        let ended = ground
            .gateway
            .ctl_output(&[&["explain"], &words_of[..]].concat())?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.code() == Some(code), "{question}: {ended:?}");
        ensure!(said.contains(words), "{question}: {said}");
        ensure!(ended.stdout.is_empty());
    }
    Ok(())
}

#[test]
fn another_network_namespace_or_instance_is_no_answer() -> Result<()> {
    let ground = Ground::start("tc", CONFIG)?;
    let elsewhere = Netns::create(&format!("{}-far", ground.gateway.name()))?;
    for (name, words) in [
        (ground.gateway.name(), "not in this network namespace"),
        ("nobody", "no datapath of instance \"nobody\""),
    ] {
        let mut command = elsewhere.command(program()?);
        let question = ["explain", "tcp", "172.16.1.11", "198.51.100.20"];
        let ended = command.args(["--name", name]).args(question).output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.code() == Some(1), "{ended:?}");
        ensure!(said.contains(words), "{said}");
    }
    Ok(())
}

#[test]
fn another_link_layer_address_is_no_other_network_namespace() -> Result<()> {
    // Its daemon does not run, else it would follow.
    let ground = Ground::start("tc", CONFIG)?;
    for dev in ["eth0", "eth1"] {
        let mac = ["link", "set", "dev", dev, "address", "02:00:00:00:77:01"];
        output(command(ground.gateway.netns(), "ip").args(mac))?;
    }
    ground
        .gateway
        .ctl(&["explain", "udp", "172.16.1.11", "198.51.100.20"])
        .map(drop)
}

/// Every pinned map, whole.
fn maps(gateway: &Gateway) -> Result<BTreeMap<String, String>> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(gateway.pins())? {
        let path = entry?.path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let path = path.to_str().context("a pin's name")?;
        // A ring has no elements; what is said of it is all that can be seen.
        let is_ring = bpftool(&["map", "show", "pinned", path])?["type"] == "ringbuf";
        let verb = if is_ring { "show" } else { "dump" };
        let shown = output(Command::new("bpftool").args(["-j", "map", verb, "pinned", path]))?;
        maps.insert(name.into_owned(), shown);
    }
    Ok(maps)
}
