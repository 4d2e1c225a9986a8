//! A table that one client fills.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    process::Command,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::Gateway,
    netns::{Netns, output},
    ping::ping,
    raw::Packet,
    scene::Plan,
    sender::{Sender, speak_for},
    wait,
};
use socket2::{Domain, Protocol, Socket, Type};

const ROOM: u64 = 4096;
/// Kept for clients with less than an equal share.
const KEPT: u64 = ROOM / 8;
const CLIENTS: u8 = 10;
const EACH: usize = 100;
const LIVE: usize = CLIENTS as usize * EACH;
const PORT: u16 = 80;
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a connection may send again, all taken together: a sender repeats itself after 200 ms, and a busy machine
/// stops for longer than that. Whether the gateway was the reason, it says itself.
const STALLS: u64 = LIVE as u64 / 100;

#[test]
fn a_thousand_connections_carry_on_while_one_client_fills_the_table_xdp() -> Result<()> {
    a_thousand("xdp")
}

#[test]
fn a_thousand_connections_carry_on_while_one_client_fills_the_table_tc() -> Result<()> {
    a_thousand("tc")
}

fn a_thousand(datapath: &str) -> Result<()> {
    many_descriptors()?;
    let scene = Plan {
        gateway: "max_flows = 4096",
        // No flow ends before the test does: it counts them.
        sections: "\n[timeouts]\nicmp = \"1h\"\n",
        ..Plan::routed(datapath)
    }
    .start()?;
    let clients = scene.more_clients(100..100 + CLIENTS)?;
    let server = &scene.topology.server;
    let [first, greedy] = &scene.topology.clients;
    speak_for(&server.netns, 9, 9)?;
    ping(&greedy.netns, server.addr, 9, 1)?;
    let to = SocketAddrV4::new(server.addr, PORT);
    let accepting = accept(&server.netns, LIVE)?;
    let mut near = first.netns.enter(|| {
        let from = clients.iter().cycle().take(LIVE);
        from.map(|from| connect(*from, to))
            .collect::<Result<Vec<_>>>()
    })?;
    let mut far = accepting
        .join()
        .map_err(|_| anyhow::anyhow!("the server ended"))??;

    let before = scene.gateway.verdict("share_limit")?;
    let dropped_before = dropped(&scene.gateway)?;
    let sender = Sender::open(&greedy.netns)?;
    let begin = |port| {
        let from = SocketAddrV4::new(greedy.addr, port);
        Packet::udp(from, SocketAddrV4::new(server.addr, 9), 4)
    };
    for port in 0..2 * ROOM as u16 {
        sender.send(&begin(10_000 + port))?;
        // All of them are spoken on, in turn, while the table fills.
        if port % 8 == 0 {
            let turn = usize::from(port / 8) % LIVE;
            exchange(&mut near[turn], &mut far).context("while the table fills")?;
        }
    }
    wait::until(PATIENCE, "one client has all that it may", || {
        let status = scene.gateway.ctl_json(&["status"])?;
        let used = status["flows"]["used"].as_u64().context("no flows")?;
        ensure!(used == ROOM - KEPT, "{used} flows");
        Ok(())
    })?;
    ensure!(scene.gateway.verdict("share_limit")? > before);
    for stream in &mut near {
        exchange(stream, &mut far).context("in the full table")?;
    }

    // New ones, of those that are there and of one that is not, until nothing at all is left.
    let accepting = accept(&server.netns, KEPT as usize)?;
    let newcomers = scene.more_clients(110..115)?;
    let mut more = first.netns.enter(|| {
        let from = clients.iter().chain(&newcomers).cycle().take(KEPT as usize);
        from.map(|from| connect(*from, to))
            .collect::<Result<Vec<_>>>()
    })?;
    let mut far_more = accepting
        .join()
        .map_err(|_| anyhow::anyhow!("the server ended"))??;
    let status = scene.gateway.ctl_json(&["status"])?;
    ensure!(status["flows"]["used"] == ROOM, "{status:#}");
    sender.send(&begin(9999))?;
    for stream in &mut more {
        exchange(stream, &mut far_more).context("one that is new")?;
    }
    for stream in &mut near {
        exchange(stream, &mut far).context("in a table without any room")?;
    }
    // What was dropped is the greedy client's.
    let flows = scene.gateway.flows()?;
    let its_flows = flows
        .iter()
        .filter(|flow| flow.client == greedy.addr && flow.protocol == "udp");
    let refused = 2 * ROOM + 1 - its_flows.count() as u64;
    let dropped = dropped(&scene.gateway)? - dropped_before;
    ensure!(
        dropped <= refused,
        "{dropped} were dropped, {refused} of them the greedy client's"
    );
    let again = retransmitted(&first.netns)? + retransmitted(&server.netns)?;
    ensure!(again <= STALLS, "{again} were sent again");
    Ok(())
}

/// Connections by the port that their server sees.
type Accepted = BTreeMap<u16, TcpStream>;

fn accept(netns: &Netns, count: usize) -> Result<JoinHandle<Result<Accepted>>> {
    let listener = netns.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT).into())?;
        socket.listen(4096)?;
        Ok(TcpListener::from(socket))
    })?;
    Ok(thread::spawn(move || {
        let mut accepted = Accepted::new();
        for _ in 0..count {
            let (mut stream, peer) = listener.accept()?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            // Tells the client its number here.
            stream.write_all(&peer.port().to_be_bytes())?;
            accepted.insert(peer.port(), stream);
        }
        ensure!(accepted.len() == count, "two share a port");
        Ok(accepted)
    }))
}

/// A connection and its number at the server.
fn connect(from: Ipv4Addr, to: SocketAddrV4) -> Result<(TcpStream, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddrV4::new(from, 0).into())?;
    socket
        .connect_timeout(&to.into(), PATIENCE)
        .with_context(|| format!("from {from}"))?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut number = [0; 2];
    stream.read_exact(&mut number)?;
    Ok((stream, u16::from_be_bytes(number)))
}

/// A word there and one back.
fn exchange((near, number): &mut (TcpStream, u16), far: &mut Accepted) -> Result<()> {
    let far = far.get_mut(number).context("no such connection")?;
    let mut word = [0; 4];
    near.write_all(b"ping")?;
    far.read_exact(&mut word)?;
    far.write_all(b"pong")?;
    near.read_exact(&mut word)?;
    Ok(())
}

/// How many packets the gateway has dropped, for whatever reason.
fn dropped(gateway: &Gateway) -> Result<u64> {
    let status = gateway.ctl_json(&["status"])?;
    let verdicts = status["verdicts"].as_object().context("no verdicts")?;
    let dropped = verdicts
        .values()
        .filter(|verdict| verdict["action"] == "dropped");
    dropped
        .map(|verdict| verdict["packets"].as_u64().context("no packets"))
        .sum()
}

/// How many segments the connections of a namespace had to send again, as `ss` tells.
fn retransmitted(netns: &Netns) -> Result<u64> {
    let shown = netns.run("ss -tinOH")?;
    let lines: Vec<_> = shown
        .lines()
        .filter(|line| line.contains("ESTAB"))
        .collect();
    ensure!(lines.len() >= LIVE, "only {} connections", lines.len());
    // "retrans:0/3": on their way now, and altogether.
    let again = lines.iter().filter_map(|line| {
        let (_, told) = line.split_once(" retrans:")?;
        told.split_whitespace().next()?.split_once('/')
    });
    again.map(|(_, total)| Ok(total.parse::<u64>()?)).sum()
}

/// Lets this process have as many as all these connections are.
fn many_descriptors() -> Result<()> {
    let pid = std::process::id().to_string();
    let limit = format!("--nofile={}:", 4 * ROOM);
    output(Command::new("prlimit").args(["--pid", &pid, &limit])).map(drop)
}
