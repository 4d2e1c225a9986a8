//! A full table refuses new flows, says so, and harms none that are there.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{Gateway, config},
    netns::Netns,
    session::{LineServer, Session},
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::ECHO,
    udp::UdpEcho,
    wait,
};

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

#[test]
fn without_the_daemon_expired_flows_make_room_for_new_ones_xdp() -> Result<()> {
    expired_flows_make_room("xdp")
}

#[test]
fn without_the_daemon_expired_flows_make_room_for_new_ones_tc() -> Result<()> {
    expired_flows_make_room("tc")
}

fn expired_flows_make_room(datapath: &str) -> Result<()> {
    let (topology, mut gateway) = start(datapath)?;
    let _lines = LineServer::start(&topology.server.netns, 22)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let [greedy, quiet] = &topology.clients;
    // Lives on all the while.
    let session = Session::open(&greedy.netns, SocketAddrV4::new(topology.server.addr, 22))?;
    gateway.stop()?;
    ask(&greedy.netns, &topology)?;
    ask(&quiet.netns, &topology)?;
    wait::until(Duration::from_secs(5), "the table is full", || {
        let full = gateway.verdict("table_full")? + gateway.verdict("share_limit")?;
        ensure!(full > ROOM, "{full} were refused");
        Ok(())
    })?;
    let echo = SocketAddrV4::new(topology.server.addr, ECHO);
    // Half of the table, which a client may have to itself.
    for port in 3000..3000 + ROOM as u16 / 2 - 1 {
        wait::until(Duration::from_secs(10), "a new flow finds room", || {
            quiet.netns.enter(|| {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
                socket.set_read_timeout(Some(Duration::from_millis(200)))?;
                socket.send_to(b"?", echo)?;
                socket.recv(&mut [0; 64]).context("no answer")?;
                Ok(())
            })
        })
        .with_context(|| format!("from port {port}"))?;
    }
    session
        .finish()
        .context("the connection that was there")
        .map(drop)
}

fn one_client_fills_the_table(datapath: &str) -> Result<()> {
    let (topology, gateway) = start(datapath)?;
    let _server = LineServer::start(&topology.server.netns, 22)?;
    let [greedy, quiet] = &topology.clients;
    let ssh = SocketAddrV4::new(topology.server.addr, 22);
    let session = Session::open(&quiet.netns, ssh)?;

    ask(&greedy.netns, &topology)?;
    // The last eighth is for those who have less than an equal share, such as the one with the session.
    let kept = ROOM / 8;
    let refused = ASKED - (ROOM - kept - 1);
    wait::until(
        Duration::from_secs(5),
        "all datagrams are decided on",
        || {
            let shared = gateway.verdict("share_limit")?;
            ensure!(shared == refused, "{shared} were refused, not {refused}");
            Ok(())
        },
    )?;
    let status = gateway.ctl_json(&["status"])?;
    ensure!(
        status["flows"]["used"] == ROOM - kept && status["flows"]["max"] == ROOM,
        "{status}"
    );
    ensure!(
        status["verdicts"]["share_limit"]["action"] == "dropped",
        "{status}"
    );
    let more: Vec<_> = (0..kept)
        .map(|number| {
            Session::open(&quiet.netns, ssh)
                .with_context(|| format!("{number} of {kept} within its share"))
        })
        .collect::<Result<_>>()?;
    Session::open(&quiet.netns, ssh)
        .err()
        .context("a connection was opened in a full table")?;
    ensure!(gateway.verdict("table_full")? > 0, "{status}");
    for session in more {
        session.finish().context("a connection within its share")?;
    }
    session
        .finish()
        .context("the connection that was there")
        .map(drop)
}

fn start(datapath: &str) -> Result<(Topology, Gateway)> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let name = format!("{prefix}full");
    let small = format!("max_flows = {ROOM}\n\n[[snat]]");
    let config = config(&topology, &name, datapath).replacen("[[snat]]", &small, 1);
    let gateway = Gateway::start_with(&topology, &name, &(config + "[timeouts]\nudp = \"4s\"\n"))?;
    Ok((topology, gateway))
}

/// A datagram to each of as many ports: as many flows.
fn ask(netns: &Netns, topology: &Topology) -> Result<()> {
    let socket = netns.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
    for port in 0..ASKED as u16 {
        socket.send_to(b"more", (topology.server.addr, 10_000 + port))?;
    }
    Ok(())
}
