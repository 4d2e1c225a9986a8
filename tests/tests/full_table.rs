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
#[ignore = "the datapath recycles an expired flow only where it stands in the way of a port"]
fn without_the_daemon_a_table_full_of_expired_flows_takes_new_ones() -> Result<()> {
    let (topology, mut gateway) = start("tc")?;
    gateway.stop()?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let [greedy, quiet] = &topology.clients;
    ask(&greedy.netns, &topology)?;
    let first = gateway.flows()?;
    let echo = SocketAddrV4::new(topology.server.addr, ECHO);
    ensure!(!first.is_empty(), "nothing was opened");
    wait::until(Duration::from_secs(10), "a new flow finds room", || {
        quiet.netns.enter(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 3000))?;
            socket.set_read_timeout(Some(Duration::from_millis(200)))?;
            socket.send_to(b"?", echo)?;
            socket.recv(&mut [0; 64]).context("no answer")?;
            Ok(())
        })
    })?;
    ensure!(
        gateway.verdict("table_full")? > 0,
        "the table was never full"
    );
    Ok(())
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
