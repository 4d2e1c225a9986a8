//! "Who had this address and port at that time?"

use std::net::SocketAddrV4;

use anyhow::{Result, ensure};
use snat_tests::traffic::ECHO;

use crate::book::{Logged, SHORT, endpoint};

#[test]
fn the_log_says_who_had_an_external_port_at_which_time_xdp() -> Result<()> {
    one_after_the_other("xdp")
}

#[test]
fn the_log_says_who_had_an_external_port_at_which_time_tc() -> Result<()> {
    one_after_the_other("tc")
}

/// One port to hand out: both clients have it, at different times.
fn one_after_the_other(datapath: &str) -> Result<()> {
    let logged = Logged::start(datapath, "", "ports = \"20000\"", SHORT)?;
    let external = logged.speak(0, 4000)?;
    let made = logged.book.await_event("mapping_made", external)?;
    let removed = logged.book.await_event("mapping_removed", external)?;
    for line in [&made, &removed] {
        ensure!(
            endpoint(line, "client")? == SocketAddrV4::new(logged.addr(0), 4000),
            "{line}"
        );
        ensure!(line["instance"] == logged.scene.gateway.name(), "{line}");
    }
    let seen = logged.speak(1, 5000)?;
    ensure!(seen == external, "{seen}");
    let second = SocketAddrV4::new(logged.addr(1), 5000);
    snat_tests::wait::until(crate::book::SOON, "the second owner is logged", || {
        ensure!(logged.book.count("mapping_made")? == 2);
        Ok(())
    })?;

    let at = |time: &serde_json::Value| {
        let time = time.as_str().unwrap_or_default().to_owned();
        move |line: &serde_json::Value| line["time"].as_str() > Some(&time)
    };
    let book = &logged.book;
    ensure!(book.owner(external, at(&made["time"]))? == endpoint(&made, "client").ok());
    ensure!(book.owner(external, at(&removed["time"]))?.is_none());
    ensure!(book.owner(external, |_| false)? == Some(second));
    Ok(())
}

#[test]
fn no_destination_is_logged_and_many_flows_of_an_endpoint_are_one_line() -> Result<()> {
    let logged = Logged::start("tc", "", "", "")?;
    let server = logged.scene.topology.server.addr;
    let external = logged.speak(0, 4000)?;
    let others = logged.scene.more_servers(100..120)?;
    logged.scene.topology.clients[0].netns.enter(|| {
        let socket = std::net::UdpSocket::bind(("0.0.0.0", 4000))?;
        for other in &others {
            socket.send_to(b"hello", (*other, ECHO))?;
        }
        Ok(())
    })?;
    snat_tests::wait::until(crate::book::SOON, "the flows are there", || {
        ensure!(logged.scene.gateway.flows()?.len() == 21);
        Ok(())
    })?;
    // Behind everything of those flows.
    let last = logged.speak(1, 4001)?;
    logged.book.await_event("mapping_made", last)?;
    let lines = logged.book.lines()?;
    let about = lines.iter().filter(|line| {
        line["event"] != "mapping_present"
            && endpoint(line, "external").is_ok_and(|e| e == external)
    });
    ensure!(about.count() == 1, "{lines:#?}");
    let text = std::fs::read_to_string(&logged.book.path)?;
    for addr in others.iter().chain([&server]) {
        ensure!(!text.contains(&addr.to_string()), "{text}");
    }
    Ok(())
}

#[test]
fn with_destinations_every_flow_is_logged_with_its_server() -> Result<()> {
    let logged = Logged::start("xdp", "destinations = true", "", SHORT)?;
    let external = logged.speak(0, 4000)?;
    for event in ["flow_opened", "flow_removed"] {
        let line = logged.book.await_event(event, external)?;
        let server = SocketAddrV4::new(logged.scene.topology.server.addr, ECHO);
        ensure!(endpoint(&line, "server")? == server, "{line}");
        ensure!(
            endpoint(&line, "client")? == SocketAddrV4::new(logged.addr(0), 4000),
            "{line}"
        );
    }
    logged
        .book
        .await_event("mapping_removed", external)
        .map(drop)
}

#[test]
fn where_ports_are_shared_flows_are_logged_instead_of_mappings() -> Result<()> {
    let entry = "mapping = \"address-and-port-dependent\"";
    let logged = Logged::start("tc", "", entry, SHORT)?;
    let external = logged.speak(0, 4000)?;
    let line = logged.book.await_event("flow_opened", external)?;
    ensure!(
        endpoint(&line, "client")? == SocketAddrV4::new(logged.addr(0), 4000),
        "{line}"
    );
    ensure!(line["server"].is_null(), "{line}");
    logged.book.await_event("flow_removed", external)?;
    ensure!(logged.book.count("mapping_made")? == 0);
    Ok(())
}
