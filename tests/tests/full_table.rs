//! A full table refuses new flows, says so, and harms none that are there.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{Gateway, config},
    session::{LineServer, Session},
    topology::{Offloads, Shape, Topology, unique_prefix},
    wait,
};
use std::time::Duration;

const ROOM: u64 = 64;
const ASKED: u64 = 200;

#[test]
fn one_client_fills_the_table_and_anothers_connection_goes_on_xdp() -> Result<()> {
    one_client_fills_the_table("xdp")
}

#[test]
fn one_client_fills_the_table_and_anothers_connection_goes_on_tc() -> Result<()> {
    one_client_fills_the_table("tc")
}

fn one_client_fills_the_table(datapath: &str) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let name = format!("{prefix}full");
    let small = format!("max_flows = {ROOM}\n\n[[snat]]");
    let config = config(&topology, &name, datapath).replacen("[[snat]]", &small, 1);
    let gateway = Gateway::start_with(&topology, &name, &config)?;
    let _server = LineServer::start(&topology.server.netns, 22)?;
    let [greedy, quiet] = &topology.clients;
    let ssh = SocketAddrV4::new(topology.server.addr, 22);
    let session = Session::open(&quiet.netns, ssh)?;

    let socket = greedy
        .netns
        .enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
    for port in 0..ASKED as u16 {
        socket.send_to(b"more", (topology.server.addr, 10_000 + port))?;
    }
    let refused = ASKED - (ROOM - 1);
    wait::until(
        Duration::from_secs(5),
        "all datagrams are decided on",
        || {
            let full = gateway.verdict("table_full")?;
            ensure!(full == refused, "{full} were refused, not {refused}");
            Ok(())
        },
    )?;
    let status = gateway.ctl_json(&["status"])?;
    ensure!(
        status["flows"]["used"] == ROOM && status["flows"]["max"] == ROOM,
        "{status}"
    );
    ensure!(
        status["verdicts"]["table_full"]["action"] == "dropped",
        "{status}"
    );
    Session::open(&quiet.netns, ssh)
        .err()
        .context("a connection was opened in a full table")?;
    let lines = session.finish().context("the connection that was there")?;
    ensure!(lines > 10, "only {lines} lines");
    Ok(())
}
