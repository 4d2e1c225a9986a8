//! A socket of the gateway itself keeps its port, also one that was opened while the gateway ran and took a port
//! of the pool.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use snat_tests::{
    netns::Netns,
    scene::{Plan, Scene},
    session::{LineServer, Session},
    udp::{UdpEcho, exchange},
};

const POOL: [u16; 8] = [
    20_000, 20_001, 20_002, 20_003, 20_004, 20_005, 20_006, 20_007,
];
/// The gateway's TCP service.
const SERVICE: u16 = POOL[3];
/// Its UDP service.
const RESPONDER: u16 = POOL[4];
/// The port from which it asks others, as a resolver does.
const RESOLVER: u16 = POOL[6];

const LINES: u16 = 22;
const ECHO: u16 = 7;
const SOON: Duration = Duration::from_secs(3);

#[test]
fn a_port_of_the_pool_that_the_host_opened_later_is_its_own_xdp() -> Result<()> {
    opened_later("xdp", "auto")
}

#[test]
fn a_port_of_the_pool_that_the_host_opened_later_is_its_own_tc() -> Result<()> {
    opened_later("tc", "endpoint-independent")
}

#[test]
fn a_port_of_the_pool_that_the_host_opened_later_is_its_own_address_and_port_dependent()
-> Result<()> {
    opened_later("tc", "address-and-port-dependent")
}

fn opened_later(datapath: &str, mapping: &str) -> Result<()> {
    let scene = Plan {
        entry: &format!("mapping = {mapping:?}\nports = \"20000-20007\""),
        ..Plan::routed(datapath)
    }
    .start()?;
    let topology = &scene.topology;
    let server = &topology.server.netns;
    let _servers = (
        LineServer::start(server, LINES)?,
        UdpEcho::start(server, ECHO)?,
    );

    let gateway = &topology.gateway.netns;
    let _services = (
        LineServer::start(gateway, SERVICE)?,
        UdpEcho::start(gateway, RESPONDER)?,
    );
    let resolver = gateway.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, RESOLVER))?))?;
    resolver.set_read_timeout(Some(SOON))?;
    reached(&scene, &resolver).context("before a client has a flow")?;

    let client = &topology.clients[0].netns;
    let mut streams = fill(|| connect(client, scene.topology.server.addr))?;
    let sockets = fill(|| ask(client, scene.topology.server.addr))?;
    expect_ports(&scene, "tcp", &[SERVICE])?;
    expect_ports(&scene, "udp", &[RESPONDER, RESOLVER])?;

    // Both to the same server, and every other port is a client's.
    reached(&scene, &resolver).context("while clients have all other ports")?;
    for stream in &mut streams {
        line(stream).context("a client's connection afterwards")?;
    }
    for socket in &sockets {
        word(socket).context("a client's socket afterwards")?;
    }
    let unsolicited = scene.gateway.verdict("unsolicited")?;
    ensure!(unsolicited == 0, "{unsolicited} packets reached no socket");
    Ok(())
}

/// Whoever asks the host's services from outside is answered, and so is the host where it asks.
fn reached(scene: &Scene, resolver: &UdpSocket) -> Result<()> {
    let topology = &scene.topology;
    let (outside, server) = (&topology.server.netns, topology.server.addr);
    let own = |port| SocketAddrV4::new(topology.external, port);
    Session::open(outside, own(SERVICE))?
        .finish()
        .context("the host's TCP service")?;
    let seen = exchange(outside, own(RESPONDER), 0, 5).context("the host's UDP service")?;
    ensure!(seen.ip() == server, "it was asked by {seen}");

    resolver.send_to(b"question", (server, ECHO))?;
    let mut answer = [0; 64];
    let (len, from) = resolver
        .recv_from(&mut answer)
        .context("the host's own question")?;
    let expected = format!("{} question", own(RESOLVER));
    ensure!(
        from.ip() == server && answer[..len] == *expected.as_bytes(),
        "{from} said {:?}",
        String::from_utf8_lossy(&answer[..len])
    );
    Ok(())
}

/// Opens one flow for each port of the pool; those that were not refused.
fn fill<T>(open: impl Fn() -> Result<io::Result<T>>) -> Result<Vec<T>> {
    let mut opened = Vec::new();
    for _ in POOL {
        match open()? {
            Ok(flow) => opened.push(flow),
            Err(error) if error.kind() == ErrorKind::HostUnreachable => {}
            Err(error) => bail!("neither opened nor refused: {error}"),
        }
    }
    Ok(opened)
}

/// Fails unless the flows of a protocol have all ports of the pool but the host's.
fn expect_ports(scene: &Scene, protocol: &str, hosts: &[u16]) -> Result<()> {
    let flows = scene.gateway.flows()?;
    let used: BTreeSet<_> = flows
        .iter()
        .filter(|flow| flow.protocol == protocol)
        .map(|flow| flow.external_port)
        .collect();
    let left = POOL.into_iter().filter(|port| !hosts.contains(port));
    ensure!(
        used == left.collect(),
        "{protocol} flows have {used:?}; the host has {hosts:?}"
    );
    Ok(())
}

fn connect(client: &Netns, server: Ipv4Addr) -> Result<io::Result<TcpStream>> {
    let open = || {
        let to = SocketAddrV4::new(server, LINES).into();
        let mut stream = TcpStream::connect_timeout(&to, SOON)?;
        stream.set_read_timeout(Some(SOON))?;
        line(&mut stream)?;
        Ok(stream)
    };
    client.enter(|| Ok(open()))
}

fn ask(client: &Netns, server: Ipv4Addr) -> Result<io::Result<UdpSocket>> {
    let open = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((server, ECHO))?;
        socket.set_read_timeout(Some(SOON))?;
        word(&socket)?;
        Ok(socket)
    };
    client.enter(|| Ok(open()))
}

fn line(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"line\n")?;
    stream.read_exact(&mut [0; 5])
}

fn word(socket: &UdpSocket) -> io::Result<()> {
    socket.send(b"word")?;
    socket.recv(&mut [0; 64]).map(drop)
}
