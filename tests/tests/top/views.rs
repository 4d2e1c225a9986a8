//! Every view, with traffic that is known.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context as _, Result, ensure};

use super::{A_SECOND, Busy, LARGE, PAYLOAD, SMALL, number};

#[test]
fn every_view_shows_what_happens_on_80x24() -> Result<()> {
    every_view(SMALL)
}

#[test]
fn every_view_shows_what_happens_on_200x50() -> Result<()> {
    every_view(LARGE)
}

fn every_view(size: (u16, u16)) -> Result<()> {
    let busy = Busy::start()?;
    let mut top = busy.top(&[], size)?;
    let topology = &busy.scene.topology;
    let [client, server] = [topology.clients[0].addr, topology.server.addr].map(|a| a.to_string());
    let external = topology.translated();

    top.until("the heading has the rate of what is sent", |text| {
        is_the_rate(words(text, "out ")?.get(3..5))
    })?;
    top.until("sources have the client with its rate", |text| {
        ensure!(text.contains("[1 Sources]"));
        let row = words(text, &client)?;
        ensure!(row[1] == "1", "{row:?}");
        is_the_rate(row.get(2..4))
    })?;
    top.press("2")?;
    top.shows(&["[2 Destinations]", "SERVER", &format!("\n{server} ")])?;

    top.press("3")?;
    let pool = format!("\n{external}");
    top.shows(&["[3 Pools]", "EXHAUSTED", &pool, "all servers"])?;
    top.until("the port in use is counted", |text| {
        let pool = words(text, &external.to_string())?;
        ensure!(pool[1..5] == ["udp", "all", "servers", "1"], "{pool:?}");
        Ok(())
    })?;

    top.press("4")?;
    top.shows(&["[4 Drops]"])?;
    scan(&busy, external)?;
    top.until("what was dropped is counted", |text| {
        let row = words(text, "unsolicited ")?;
        ensure!(row[2] == "10", "{row:?}");
        Ok(())
    })?;

    top.press("5")?;
    let flow = [format!("{client}:40000"), format!("{server}:7")];
    top.shows(&["[5 Flows]", "STATE", &flow[0], &flow[1]])
}

/// The words of the first line that begins so.
fn words<'a>(text: &'a str, begins: &str) -> Result<Vec<&'a str>> {
    let line = text.lines().find(|line| line.starts_with(begins));
    let line = line.with_context(|| format!("no line {begins:?}"))?;
    Ok(line.split_whitespace().collect())
}

/// What the client sends has that rate, as far as a busy machine lets it.
fn is_the_rate(measured: Option<&[&str]>) -> Result<()> {
    let headers = 28;
    let sent = f64::from(A_SECOND) * (PAYLOAD + headers) as f64 * 8.0;
    let measured = measured.and_then(number).context("no rate")?;
    ensure!(
        (0.6..1.6).contains(&(measured / sent)),
        "{measured}, not {sent}"
    );
    Ok(())
}

/// Ten packets from outside to ports that no client has.
fn scan(busy: &Busy, external: Ipv4Addr) -> Result<()> {
    busy.scene.topology.server.netns.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        for port in 5000..5010 {
            socket.send_to(b"anybody there?", (external, port))?;
        }
        Ok(())
    })
}
