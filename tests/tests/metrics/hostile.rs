//! Clients that are slow, many, or wrong hold up neither others nor the daemon.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use snat_tests::{netns::Netns, scrape::get, topology::Shape, wait};

use crate::ground::{LOOPBACK, served, start};

/// Many times as long as a scrape takes on a busy machine, and less than any of the server's patience.
const QUICK: Duration = Duration::from_secs(2);
/// More than the server has connections.
const MANY: usize = 60;

#[test]
fn slow_clients_hold_up_neither_others_nor_sweeps_nor_the_end() -> Result<()> {
    let mut scene = start("tc", Shape::Routed)?;
    let silent = connections(&scene.topology.gateway.netns, "")?;
    let slow = connections(
        &scene.topology.gateway.netns,
        "GET /metrics HTTP/1.1\r\nx: ",
    )?;
    // These read nothing of what they asked for.
    let deaf = connections(
        &scene.topology.gateway.netns,
        "GET /metrics HTTP/1.1\r\n\r\n",
    )?;
    let begun = Instant::now();
    let first = served(&scene)?.value("snat_census_timestamp_seconds")?;
    ensure!(
        begun.elapsed() < QUICK,
        "a scrape took {:?}",
        begun.elapsed()
    );
    wait::until(
        Duration::from_secs(20),
        "a sweep while they are there",
        || {
            let now = served(&scene)?.value("snat_census_timestamp_seconds")?;
            ensure!(now > first, "{now}");
            Ok(())
        },
    )?;
    let begun = Instant::now();
    scene.gateway.stop()?;
    ensure!(
        begun.elapsed() < QUICK,
        "the end took {:?}",
        begun.elapsed()
    );
    drop((silent, slow, deaf));
    Ok(())
}

#[test]
fn a_request_that_never_ends_is_ended() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    let netns = &scene.topology.gateway.netns;
    let endless = "GET /metrics HTTP/1.1\r\nx: ".to_owned() + &"x".repeat(1 << 17);
    for request in [
        "\0\0\0\0 \r\n\r\n",
        "GET\r\n\r\n",
        "GET /metrics HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &endless,
    ] {
        let answer = tell(netns, request)?;
        let code = answer.get(9..12).unwrap_or_default();
        ensure!(
            answer.is_empty() || code.starts_with('4') || code == "505",
            "{request:.20?} was answered {answer:?}"
        );
        ensure!(
            get(netns, LOOPBACK, "/healthz")?.code == 200,
            "after {request:.20?}"
        );
    }
    // Nothing is asked at all: the server hangs up by itself.
    let answer = tell(netns, "")?;
    ensure!(answer.is_empty() || answer.contains("408"), "{answer:?}");
    Ok(())
}

fn connections(netns: &Netns, begin: &str) -> Result<Vec<TcpStream>> {
    netns.enter(|| {
        let open = |_| {
            let mut stream = TcpStream::connect(LOOPBACK)?;
            // The server may have hung up already.
            stream.write_all(begin.as_bytes()).ok();
            Ok(stream)
        };
        (0..MANY).map(open).collect()
    })
}

/// What the server says until it hangs up.
fn tell(netns: &Netns, request: &str) -> Result<String> {
    netns.enter(|| {
        let mut stream = TcpStream::connect(LOOPBACK)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        // It may hang up before it has read everything.
        stream.write_all(request.as_bytes()).ok();
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            read => drop(read?),
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    })
}
