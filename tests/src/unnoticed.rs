//! What is tried on a gateway whose daemon has ended, while traffic goes on that must not notice.

use std::net::SocketAddrV4;

use anyhow::{Context as _, Result, ensure};

use crate::{
    gateway::{Gateway, program},
    netns::command,
    scene::{Plan, Scene},
    session::{LineServer, Session},
    stream::Stream,
};

const LINES: u16 = 22;
const STREAM: u16 = 9;

/// With a session and a stream through a gateway whose daemon has ended, `attempt` does something and looks. No line and
/// no packet of them may be lost.
pub fn unnoticed(attempt: impl FnOnce(&mut Gateway) -> Result<()>) -> Result<()> {
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
    attempt(&mut gateway)?;
    session.finish().context("the session")?;
    let flowed = stream.finish().context("the stream")?;
    ensure!(flowed.source.ip() == topology.external, "{flowed:?}");
    Ok(())
}

/// What a start with these arguments says that must end by itself, with 1. `before` is shell that runs first, in a mount
/// namespace of its own.
pub fn refusal(gateway: &Gateway, before: &str, arguments: &[&str]) -> Result<String> {
    let mut command = command(gateway.netns(), "timeout");
    let line = format!("{before} exec \"$@\"");
    let run = command.args(["20", "unshare", "--mount", "sh", "-ec", &line, "sh"]);
    let run = run.arg(program()?).args(["run", "--config"]);
    let ended = run.arg(gateway.config()).args(arguments).output()?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(
        ended.status.code() == Some(1),
        "ended with {}: {said}",
        ended.status
    );
    Ok(said)
}
