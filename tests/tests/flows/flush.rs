//! A flush removes what was selected; the next packet of such a flow meets what one without a flow meets.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::program, netns::command, raw::Packet, sender::Sender, traffic::SSH, wait,
};

use crate::ground::{BUSY, FIRST, Ground, SERVER, SILENT, at, socket};

const REST: [&str; 5] = ["calm", "other", "ping", "session", "syn"];
const MANY: u16 = 300;
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_removed_udp_flow_begins_anew_with_its_next_packet_and_others_go_on() -> Result<()> {
    let mut ground = Ground::start("xdp")?;
    // The program in the kernel does it, whoever else is there.
    ground.scene.gateway.stop()?;
    let flush = [
        "flows",
        "flush",
        "--source",
        "172.16.1.11",
        "--source-port",
        "4000",
        "--yes",
    ];
    let said = ground.scene.gateway.ctl(&flush)?;
    ensure!(said == "1 flow removed\n", "{said}");
    let left = ground.set(&[])?;
    ensure!(left == REST.into(), "{left:?}");

    let socket = socket(&ground.scene, BUSY)?;
    socket.send(b"again")?;
    socket.recv(&mut [0; 64]).context("after the flush")?;
    let flows = ground.scene.gateway.flows()?;
    let busy = flows.iter().find(|flow| flow.client_port == BUSY);
    let busy = busy.context("no new flow")?;
    ensure!((busy.packets_out, busy.packets_in) == (1, 1), "{busy:?}");
    let calm = flows.iter().find(|flow| flow.client_port == 4001);
    ensure!(calm.is_some_and(|flow| flow.packets_out == 2), "{flows:?}");
    ground.session.finish().map(drop)
}

#[test]
fn a_removed_connections_client_is_reset_when_it_speaks_again() -> Result<()> {
    let ground = Ground::start("tc")?;
    let mut stream = ground.scene.topology.clients[0].netns.enter(|| {
        Ok(TcpStream::connect_timeout(
            &at(SERVER, SSH).into(),
            PATIENCE,
        )?)
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let flush = [
        "flows",
        "flush",
        "--source",
        "172.16.1.11",
        "--port",
        "22",
        "--yes",
        "--json",
    ];
    let report: serde_json::Value = serde_json::from_str(&ground.scene.gateway.ctl(&flush)?)?;
    ensure!(
        report["matched"] == 1 && report["removed"] == 1 && report["dry_run"] == false,
        "{report}"
    );
    stream.write_all(b"still there?\n")?;
    let answer = stream.read(&mut [0; 64]);
    ensure!(
        answer
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionReset),
        "{answer:?}"
    );
    ground.session.finish().map(drop)
}

#[test]
fn hundreds_are_removed_and_only_they() -> Result<()> {
    let ground = Ground::start("tc")?;
    let sender = Sender::open(&ground.scene.topology.clients[0].netns)?;
    for number in 0..MANY {
        sender.send(&Packet::udp(
            at(FIRST, 10_000 + number),
            at(SERVER, SILENT),
            10,
        ))?;
    }
    let port = SILENT.to_string();
    let listed = ["flows", "--protocol", "udp", "--port", &port, "--json"];
    wait::until(PATIENCE, "all are open", || {
        let flows = ground.scene.gateway.ctl(&listed)?;
        let count = flows.matches("client_port").count();
        ensure!(count == usize::from(MANY), "{count}");
        Ok(())
    })?;
    let flush = [
        "flows",
        "flush",
        "--port",
        &port,
        "--protocol",
        "udp",
        "--yes",
    ];
    let said = ground.scene.gateway.ctl(&flush)?;
    ensure!(said == format!("{MANY} flows removed\n"), "{said}");
    let left = ground.set(&[])?;
    ensure!(left.len() == 6 && left.contains("busy"), "{left:?}");
    ground.session.finish().map(drop)
}

#[test]
fn nothing_is_removed_that_nobody_agreed_to() -> Result<()> {
    let ground = Ground::start("tc")?;
    let gateway = &ground.scene.gateway;
    for (arguments, code, says) in [
        (
            &["--dry-run", "--source", "172.16.1.11"][..],
            0,
            "3 flows would be removed",
        ),
        (&["--all", "--dry-run"], 0, "6 flows would be removed"),
        (&["--protocol", "sctp", "--yes"], 0, "0 flows removed"),
        (&["--source", "172.16.1.11"], 2, "give --yes"),
        (&["--yes"], 2, "or --all"),
        (&["--all", "--port", "7", "--yes"], 2, "one of the two"),
        (&["--dry-run", "--yes", "--all"], 2, "cannot be used with"),
    ] {
        let ended = gateway.ctl_output(&[&["flows", "flush"], arguments].concat())?;
        ensure!(
            ended.status.code() == Some(code),
            "{arguments:?}: {ended:?}"
        );
        ensure!(told(&ended).contains(says), "{arguments:?}: {ended:?}");
        let left = ground.set(&[])?;
        ensure!(left.len() == 6, "{arguments:?}: {left:?}");
    }
    ensure!(
        gateway
            .ctl(&["flows", "flush", "--all", "--yes"])?
            .contains(" removed")
    );
    // The session's next line is refused, and its connection with it.
    let left = ground.set(&[])?;
    ensure!(left.is_subset(&["session"].into()), "{left:?}");
    ensure!(ground.session.finish().is_err());
    Ok(())
}

#[test]
fn on_a_terminal_it_asks_and_takes_no_for_an_answer() -> Result<()> {
    let ground = Ground::start("tc")?;
    for (answer, left) in [("n\n", 6), ("\n", 6), ("y\n", 5)] {
        let said = on_a_terminal(&ground, "flows flush --source-port 4000", answer)?;
        ensure!(said.contains("Remove 1 flow? [y/N]"), "{said}");
        let flows = ground.set(&[])?;
        ensure!(flows.len() == left, "{answer:?}: {said}, {flows:?}");
    }
    ground.session.finish().map(drop)
}

/// Standard output and error of the command in a terminal, where this is typed.
fn on_a_terminal(ground: &Ground, arguments: &str, typed: &str) -> Result<String> {
    let name = ground.scene.gateway.name();
    let line = format!("{} --name {name} {arguments}", program()?.display());
    let mut script = command(ground.scene.topology.gateway.netns.name(), "script");
    let mut child = script
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting script(1)")?;
    child
        .stdin
        .take()
        .context("no input")?
        .write_all(typed.as_bytes())?;
    let ended = child.wait_with_output()?;
    Ok(told(&ended))
}

fn told(ended: &Output) -> String {
    [&ended.stdout[..], &ended.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}
