//! `flows_per_source` and `new_flows_per_source`.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use snat_tests::{
    capture::Tap,
    ping::ping,
    raw::Packet,
    scene::Plan,
    sender::{Sender, speak_for},
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};

const FLOWS: usize = 100;
const SOON: Duration = Duration::from_secs(1);

#[test]
fn a_client_has_so_many_flows_and_is_told_of_each_more_xdp() -> Result<()> {
    so_many("xdp")
}

#[test]
fn a_client_has_so_many_flows_and_is_told_of_each_more_tc() -> Result<()> {
    so_many("tc")
}

fn so_many(datapath: &str) -> Result<()> {
    let scene = Plan {
        sections: "\n[limits]\nflows_per_source = 100\n[timeouts]\nudp = \"5s\"\nport_rest = \"1s\"\n",
        ..Plan::routed(datapath)
    }
    .start()?;
    let server = &scene.topology.server;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    let echo = SocketAddrV4::new(server.addr, ECHO);
    let [greedy, other] = &scene.topology.clients;
    let open = || -> Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(echo)?;
        socket.set_read_timeout(Some(2 * SOON))?;
        Ok(socket)
    };
    let exchange = |socket: &UdpSocket| {
        socket.send(b"word")?;
        socket.recv(&mut [0; 64])
    };
    let flows = greedy.netns.enter(|| {
        let mut flows = Vec::new();
        for number in 0..FLOWS {
            let socket = open()?;
            exchange(&socket).with_context(|| format!("flow {number}"))?;
            flows.push(socket);
        }
        for number in 0..5 {
            let begun = Instant::now();
            match exchange(&open()?) {
                Err(error) if error.kind() == ErrorKind::HostUnreachable => {}
                other => bail!("flow {number} beyond the limit: {other:?}"),
            }
            ensure!(begun.elapsed() < SOON, "told after {:?}", begun.elapsed());
        }
        Ok(flows)
    })?;
    udp::exchange(&other.netns, echo, 0, 3).context("another client")?;
    for flow in &flows {
        exchange(flow).context("a flow within the limit")?;
    }
    let refused = scene.gateway.verdict("source_limit")?;
    ensure!(refused == 5, "{refused} are counted");

    // What ends makes room.
    drop(flows);
    wait::until(4 * Duration::from_secs(5), "there is room again", || {
        greedy.netns.enter(|| Ok(exchange(&open()?).map(drop)?))
    })
}

const RATE: usize = 100;
const BURST: u16 = 100;
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_client_opens_so_many_flows_a_second_and_others_are_not_held_back() -> Result<()> {
    let scene = Plan {
        sections: "\n[limits]\nnew_flows_per_source = 100\n",
        ..Plan::routed("xdp")
    }
    .start()?;
    let server = &scene.topology.server;
    speak_for(&server.netns, 9, 9)?;
    let [greedy, other] = &scene.topology.clients;
    for client in [greedy, other] {
        ping(&client.netns, server.addr, 9, 1)?;
    }
    let outside = Tap::open(&server.netns, "eth0")?;
    let sender = Sender::open(&greedy.netns)?;
    let to = SocketAddrV4::new(server.addr, 9);
    let begun = Instant::now();
    let mut took = Duration::ZERO;
    let mut sent = 0;
    while begun.elapsed() < 3 * SOON {
        // Ten times as many as there may be; after a stall no more at once than the queues on the way hold.
        let due = (begun.elapsed().as_secs_f64() * RATE as f64 * 10.0) as u16;
        let due = due.min(sent + BURST);
        while sent < due {
            let from = SocketAddrV4::new(greedy.addr, 10_000 + sent);
            sender.send(&Packet::udp(from, to, 4))?;
            sent += 1;
        }
        took = begun.elapsed();
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = took.as_secs_f64();
    ping(&other.netns, server.addr, 10, 1).context("another client")?;
    let mut arrived = 0;
    wait::until(PATIENCE, "each has arrived or is counted", || {
        let heard = outside.all(|heard| (heard.protocol() == 17).then_some(()))?;
        arrived += heard.len();
        let held = scene.gateway.verdict("source_rate")?;
        ensure!(
            held == u64::from(sent) - arrived as u64,
            "{held} are counted, {sent} sent, {arrived} arrived"
        );
        Ok(())
    })?;
    // A second's worth at once after a pause, and what flows in since.
    let most = RATE as f64 * (took + 1.0);
    ensure!(
        arrived as f64 <= most * 1.02 && arrived as f64 >= most * 0.9,
        "{arrived} of {sent} in {took:.2} s, {most:.0} expected"
    );
    Ok(())
}
