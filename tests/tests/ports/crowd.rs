//! Many at once with the same port.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{netns::Netns, scene::Plan, topology::Shape, traffic::ECHO, udp::UdpEcho};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{ground::at, returned::counted};

const PATIENCE: Duration = Duration::from_secs(10);
const CLIENTS: u8 = 100;
const PORT: u16 = 80;

#[test]
fn a_hundred_clients_with_the_same_source_port_have_a_hundred_connections_xdp() -> Result<()> {
    hundred(&Plan {
        shape: Shape::OneArm,
        ..Plan::routed("xdp")
    })
}

#[test]
fn a_hundred_clients_with_the_same_source_port_have_a_hundred_connections_tc() -> Result<()> {
    hundred(&Plan::routed("tc"))
}

fn hundred(plan: &Plan<'_>) -> Result<()> {
    let scene = plan.start()?;
    let clients = scene.more_clients(100..100 + CLIENTS)?;
    let server = &scene.topology.server;
    let listener = server
        .netns
        .enter(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?))?;
    let accepting = thread::spawn(move || -> Result<Vec<(TcpStream, SocketAddr)>> {
        (0..CLIENTS).map(|_| Ok(listener.accept()?)).collect()
    });
    let sockets = scene.topology.clients[0].netns.enter(|| {
        let sockets = clients
            .iter()
            .map(|client| bound(*client, 5000))
            .collect::<Result<Vec<_>>>()?;
        let to = SockAddr::from(at(server.addr, PORT));
        thread::scope(|scope| {
            let connect = |socket: &Socket| socket.connect_timeout(&to, PATIENCE);
            let all: Vec<_> = sockets
                .iter()
                .map(|socket| scope.spawn(move || connect(socket)))
                .collect();
            for thread in all {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a thread ended"))??;
            }
            Ok(())
        })
        .map(|()| sockets)
    })?;
    let accepted = accepting
        .join()
        .map_err(|_| anyhow::anyhow!("the server ended"))??;
    let external: BTreeSet<_> = accepted.iter().map(|(_, peer)| *peer).collect();
    ensure!(
        external.len() == usize::from(CLIENTS)
            && external
                .iter()
                .all(|peer| peer.ip() == scene.topology.external),
        "{external:?}"
    );
    // Each has its own: what one side says reaches the one at the other end.
    for (mut stream, peer) in accepted {
        stream.write_all(peer.port().to_string().as_bytes())?;
    }
    let mut told = BTreeSet::new();
    for mut socket in sockets {
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        told.insert(text.parse::<u16>().context(text)?);
    }
    ensure!(told.len() == usize::from(CLIENTS), "{told:?}");
    Ok(())
}

fn bound(addr: Ipv4Addr, port: u16) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&at(addr, port).into())?;
    Ok(socket)
}

const THREADS: usize = 128;
const ROUNDS: u8 = 30;

#[test]
fn first_packets_of_one_socket_from_128_threads_at_once_make_one_mapping_xdp() -> Result<()> {
    one_mapping("xdp", "auto")
}

#[test]
fn first_packets_of_one_socket_from_128_threads_at_once_make_one_mapping_tc() -> Result<()> {
    one_mapping("tc", "endpoint-independent")
}

#[test]
fn first_packets_of_one_socket_from_128_threads_at_once_make_one_flow_tc() -> Result<()> {
    one_mapping("tc", "address-and-port-dependent")
}

fn one_mapping(datapath: &str, mapping: &str) -> Result<()> {
    let scene = Plan {
        entry: &format!("mapping = {mapping:?}"),
        ..Plan::routed(datapath)
    }
    .start()?;
    let server = &scene.topology.server;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    // Each the first packets of its client as well.
    let clients = scene.more_clients(100..100 + ROUNDS)?;
    let netns = &scene.topology.clients[0].netns;
    for client in &clients {
        let external = all_at_once(netns, *client, server.addr)?;
        ensure!(external.len() == 1, "seen as {external:?}");
    }
    let flows = scene.gateway.flows()?;
    ensure!(
        flows.len() == clients.len() && flows.iter().all(|flow| flow.packets_out == THREADS as u64),
        "{flows:?}"
    );
    let status = scene.gateway.ctl_json(&["status"])?;
    let mapped = if mapping == "address-and-port-dependent" {
        0
    } else {
        ROUNDS
    };
    ensure!(status["mappings"]["used"] == mapped, "{status:#}");
    // Whoever came second left nothing behind.
    let (flows, clients) = counted(&scene.gateway)?;
    ensure!(
        (flows, clients) == (u64::from(ROUNDS), u64::from(ROUNDS)),
        "{flows} flows and {clients} clients are counted"
    );
    Ok(())
}

/// As whom the server answered the datagrams of so many threads.
fn all_at_once(netns: &Netns, client: Ipv4Addr, server: Ipv4Addr) -> Result<BTreeSet<String>> {
    let socket = netns.enter(|| Ok(UdpSocket::bind((client, 3000))?))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let ready = Arc::new(Barrier::new(THREADS));
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (socket, ready) = (&socket, Arc::clone(&ready));
            scope.spawn(move || {
                ready.wait();
                socket.send_to(format!("{number}").as_bytes(), (server, ECHO))
            });
        }
    });
    let mut external = BTreeSet::new();
    let mut answered = BTreeSet::new();
    while answered.len() < THREADS {
        let mut buffer = [0; 64];
        let (len, from) = socket
            .recv_from(&mut buffer)
            .with_context(|| format!("only {} replies", answered.len()))?;
        ensure!(from == at(server, ECHO).into(), "a reply from {from}");
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let (peer, number) = text.split_once(' ').context("no echo")?;
        ensure!(answered.insert(number.to_owned()), "{number} came twice");
        external.insert(peer.to_owned());
    }
    Ok(external)
}
