//! Idle flows go, busy ones stay, with the daemon and without.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{Gateway, config},
    netns::Netns,
    observe::{Flow, bpftool},
    ping::ping,
    session::LineServer,
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};

/// Of UDP, ICMP and everything of TCP but an established connection.
const SHORT: Duration = Duration::from_secs(3);
/// Timeout, the grace of half a second, the sweep's period, and a busy machine.
const GONE: Duration = Duration::from_secs(15);
const TIMEOUTS: &str = r#"
[timeouts]
udp = "3s"
icmp = "3s"
tcp_opening = "3s"
tcp_closing = "3s"
tcp_established = "8s"
"#;

#[test]
fn idle_udp_and_icmp_flows_leave_the_table_in_both_directions() -> Result<()> {
    let (topology, gateway) = start("tc", Shape::OneArm, "")?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    udp::exchange(&topology.clients[0].netns, echo(&topology), 0, 1)?;
    ping(&topology.clients[1].netns, topology.server.addr, 5, 1)?;
    let used = Instant::now();
    ensure!(gateway.flows()?.len() == 2, "{:?}", gateway.flows()?);

    wait::until(GONE, "the flows age out", || {
        let flows = gateway.flows()?;
        ensure!(flows.is_empty(), "{flows:?}");
        Ok(())
    })?;
    ensure!(used.elapsed() >= SHORT, "gone after {:?}", used.elapsed());
    let map = gateway.pins().join("FLOWS");
    let left = bpftool(&["map", "dump", "pinned", map.to_str().context("path")?])?;
    ensure!(left.as_array().is_some_and(Vec::is_empty), "left: {left}");
    Ok(())
}

#[test]
fn a_flow_used_by_the_client_alone_stays() -> Result<()> {
    one_direction("xdp", true)
}

#[test]
fn a_flow_used_by_the_server_alone_stays() -> Result<()> {
    one_direction("tc", false)
}

#[test]
fn an_idle_tcp_connection_lives_until_its_own_timeout_and_not_longer() -> Result<()> {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
    };
    let (topology, gateway) = start("xdp-generic", Shape::Routed, "")?;
    let _server = LineServer::start(&topology.server.netns, 22)?;
    let server = SocketAddrV4::new(topology.server.addr, 22);
    let mut stream = topology.clients[0]
        .netns
        .enter(|| Ok(TcpStream::connect_timeout(&server.into(), SHORT)?))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // Longer than any other timeout here, shorter than this one.
    wait::until(GONE, "idle for longer than an opening may be", || {
        let idle = only(&gateway)?.idle_seconds;
        ensure!(idle > 4.5, "idle for {idle} s");
        Ok(())
    })?;
    stream.write_all(b"alive\n")?;
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).context("after being idle")?;
    ensure!(only(&gateway)?.state == "established");
    wait::until(2 * GONE, "the connection ages out", || {
        let flows = gateway.flows()?;
        ensure!(flows.is_empty(), "{flows:?}");
        Ok(())
    })
}

#[test]
fn without_the_daemon_new_flows_open_and_expired_ones_give_up_their_ports() -> Result<()> {
    let ports = "\nports = \"20000-20003\"";
    let (topology, mut gateway) = start("xdp", Shape::OneArm, ports)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let [first, second] = &topology.clients;
    gateway.stop()?;
    for port in 2000..2004 {
        udp::exchange(&first.netns, echo(&topology), port, 1)?;
    }
    wait::until(GONE, "an expired flow's port is free again", || {
        try_once(&second.netns, echo(&topology), 3000)
    })?;
    let refused = gateway.verdict("ports_exhausted")?;
    ensure!(refused > 0, "the ports were never all taken");
    Ok(())
}

fn start(datapath: &str, shape: Shape, entry: &str) -> Result<(Topology, Gateway)> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let name = format!("{prefix}age");
    let config =
        config(&topology, &name, datapath).replace("[\"auto\"]", &format!("[\"auto\"]{entry}"));
    let gateway = Gateway::start_with(&topology, &name, &(config + TIMEOUTS))?;
    Ok((topology, gateway))
}

/// Keeps a flow busy one way for three timeouts; it must be the same flow all along.
fn one_direction(datapath: &str, out: bool) -> Result<()> {
    let (topology, gateway) = start(datapath, Shape::Routed, "")?;
    let bind =
        |netns: &Netns, port| netns.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?));
    let server = bind(&topology.server.netns, 9)?;
    let client = bind(&topology.clients[0].netns, 4000)?;
    client.connect((topology.server.addr, 9))?;
    server.set_read_timeout(Some(SHORT))?;
    client.set_read_timeout(Some(SHORT))?;
    client.send(b"open")?;
    let (_, external) = server.recv_from(&mut [0; 64])?;
    let opened = only(&gateway)?;

    let begin = Instant::now();
    let mut sent = 0;
    while begin.elapsed() < 3 * SHORT {
        if out {
            client.send(b"out")?;
            let (_, from) = server.recv_from(&mut [0; 64]).context("on the way out")?;
            ensure!(from == external, "{external} became {from}");
        } else {
            server.send_to(b"in", external)?;
            client.recv(&mut [0; 64]).context("on the way in")?;
        }
        sent += 1;
        thread::sleep(SHORT / 4);
    }
    let flow = only(&gateway)?;
    ensure!(flow.external_port == opened.external_port, "{flow:?}");
    ensure!(
        flow.age_seconds >= 3.0 * SHORT.as_secs_f64(),
        "the flow was opened anew: {flow:?}"
    );
    let counted = (flow.packets_out, flow.packets_in);
    let expected = if out { (1 + sent, 0) } else { (1, sent) };
    ensure!(counted == expected, "{counted:?}, not {expected:?}");
    Ok(())
}

fn only(gateway: &Gateway) -> Result<Flow> {
    let flows = gateway.flows()?;
    ensure!(flows.len() == 1, "not one flow but {flows:?}");
    flows.into_iter().next().context("no flow")
}

fn echo(topology: &Topology) -> SocketAddrV4 {
    SocketAddrV4::new(topology.server.addr, ECHO)
}

/// One datagram there and back, soon or not at all.
fn try_once(netns: &Netns, server: SocketAddrV4, port: u16) -> Result<()> {
    netns.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.send_to(b"?", server)?;
        socket.recv(&mut [0; 64]).context("no answer")?;
        Ok(())
    })
}
