//! Traffic of every kind at once, and what each side must have seen of it.

use std::{
    collections::HashSet,
    net::{SocketAddr, SocketAddrV4},
    thread,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    capture::{Capture, Direction, Report},
    http::{self, Client, HttpServer},
    ping::ping,
    session::{LineServer, Session},
    topology::{Host, Topology},
    udp::{self, UdpEcho},
};

/// Where the servers listen: HTTP, UDP echo, and the gateway's own stand-in for ssh.
pub const HTTP: u16 = 80;
/// UDP echo.
pub const ECHO: u16 = 7;
/// The gateway's own service.
pub const SSH: u16 = 22;

const DOWNLOAD: u64 = 100_000_000;
/// Both clients use these same ports towards the same server.
const SAME_PORTS: std::ops::Range<u16> = 20_000..20_200;
const SAME_UDP_PORT: u16 = 5353;
const SAME_IDENTIFIER: u16 = 77;
/// Those of the gateway's own connections: in the range Linux gives to sockets, which is never translated to.
pub const OWN_PORTS: std::ops::Range<u16> = 40_000..40_020;

/// Drives a download, parallel connections, UDP and ping through the gateway, both clients with the
/// same ports, while the gateway's own connections go on; fails on anything that is not as it must be.
pub fn everything(topology: &Topology) -> Result<()> {
    let Topology {
        clients,
        gateway,
        server,
        external,
        ..
    } = topology;
    let _http = HttpServer::start(&server.netns, HTTP)?;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    let _ssh = LineServer::start(&gateway.netns, SSH)?;

    let outside = Capture::start(&server.netns, "eth0")?;
    let inside = [
        Capture::start(&clients[0].netns, "eth0")?,
        Capture::start(&clients[1].netns, "eth0")?,
    ];
    let sessions = [
        Session::open(&server.netns, SocketAddrV4::new(*external, SSH))?,
        Session::open(&clients[0].netns, SocketAddrV4::new(gateway.addr, SSH))?,
    ];

    thread::scope(|scope| {
        let download = scope.spawn(|| download(&clients[0], server));
        let own = gateway_own_traffic(topology);
        join(download).and(own)
    })?;
    thread::scope(|scope| {
        let first = scope.spawn(|| same_ports(&clients[0], topology));
        let second = same_ports(&clients[1], topology);
        let seen = [join(first)?, second?].concat();
        let distinct: HashSet<_> = seen.iter().collect();
        ensure!(
            distinct.len() == seen.len(),
            "two connections shared an external port: {seen:?}"
        );
        Ok(())
    })?;

    for session in sessions {
        let lines = session.finish().context("the gateway's own connection")?;
        ensure!(lines >= 10, "only {lines} lines went there and back");
    }
    check_outside(&outside.finish()?, topology).context("seen by the server")?;
    for (client, capture) in clients.iter().zip(inside) {
        check_inside(&capture.finish()?, client, topology)
            .with_context(|| format!("seen by {}", client.addr))?;
    }
    Ok(())
}

/// Fetches 100 MB and compares the hash.
pub fn download(client: &Host, server: &Host) -> Result<()> {
    let reply = Client::new(&client.netns, server.addr, HTTP).get(&format!("/bytes/{DOWNLOAD}"))?;
    ensure!(
        reply.len == DOWNLOAD,
        "{} bytes arrived instead of {DOWNLOAD}",
        reply.len
    );
    ensure!(
        reply.sha256 == http::sha256(DOWNLOAD),
        "the download is damaged: its SHA-256 differs"
    );
    Ok(())
}

/// Sends 100 MB and compares the hash the server has made of it.
pub fn upload(client: &Host, server: &Host) -> Result<()> {
    let reply = Client::new(&client.netns, server.addr, HTTP).upload(DOWNLOAD)?;
    ensure!(
        reply.text == http::sha256(DOWNLOAD),
        "the upload is damaged: its SHA-256 differs"
    );
    Ok(())
}

/// What a client does from ports that the other client uses as well; who the server said it was.
fn same_ports(client: &Host, topology: &Topology) -> Result<Vec<(&'static str, SocketAddr)>> {
    let server = &topology.server;
    let ports: Vec<u16> = SAME_PORTS.collect();
    let http = Client::new(&client.netns, server.addr, HTTP);
    let mut seen = Vec::new();
    for reply in http.get_from_ports("/whoami", &ports)? {
        seen.push(("tcp", reply.text.parse().context("answer of /whoami")?));
    }
    let echo = SocketAddrV4::new(server.addr, ECHO);
    seen.push((
        "udp",
        udp::exchange(&client.netns, echo, SAME_UDP_PORT, 50)?,
    ));
    ping(&client.netns, server.addr, SAME_IDENTIFIER, 20)?;
    for (protocol, peer) in &seen {
        ensure!(
            peer.ip() == topology.external,
            "the server saw {protocol} from {peer}, not {}",
            topology.external
        );
    }
    Ok(seen)
}

fn gateway_own_traffic(topology: &Topology) -> Result<()> {
    let Topology {
        gateway,
        server,
        external,
        ..
    } = topology;
    let run = || {
        let untouched = |protocol, seen: SocketAddr, port| {
            let own = SocketAddrV4::new(*external, port);
            ensure!(
                seen == own.into(),
                "the server saw {protocol} from {seen}, not {own}"
            );
            Ok(())
        };
        let ports: Vec<u16> = OWN_PORTS.collect();
        let http = Client::new(&gateway.netns, server.addr, HTTP);
        let replies = http.get_from_ports("/whoami", &ports)?;
        for (reply, port) in replies.iter().zip(ports) {
            untouched("tcp", reply.text.parse()?, port)?;
        }
        let echo = SocketAddrV4::new(server.addr, ECHO);
        let seen = udp::exchange(&gateway.netns, echo, OWN_PORTS.start, 20)?;
        untouched("udp", seen, OWN_PORTS.start)?;
        ping(&gateway.netns, server.addr, SAME_IDENTIFIER, 20).map(drop)
    };
    run().context("the gateway's own outbound connections")
}

fn check_outside(report: &Report, topology: &Topology) -> Result<()> {
    report.expect_sound()?;
    let only_external =
        |addresses: &std::collections::BTreeMap<_, _>| addresses.keys().eq([&topology.external]);
    let (sources, destinations) = (
        report.sources(Direction::In),
        report.destinations(Direction::Out),
    );
    ensure!(
        only_external(&sources),
        "packets came from {sources:?}, not only from {}",
        topology.external
    );
    ensure!(
        only_external(&destinations),
        "answers went to {destinations:?}"
    );
    Ok(())
}

fn check_inside(report: &Report, client: &Host, topology: &Topology) -> Result<()> {
    report.expect_sound()?;
    let sources = report.sources(Direction::In);
    let expected = [topology.server.addr, topology.gateway.addr];
    ensure!(
        sources.keys().all(|source| expected.contains(source)),
        "packets came from {sources:?}"
    );
    let destinations = report.destinations(Direction::In);
    ensure!(
        destinations.keys().eq([&client.addr]),
        "packets came to {destinations:?}"
    );
    Ok(())
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
