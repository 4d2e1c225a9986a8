//! Whoever finds no port is told at once, and nobody loses one for it.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use snat_tests::{
    netns::Netns,
    scene::{Plan, Scene},
    session::LineServer,
    udp::UdpEcho,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::ground::at;

const POOL: usize = 10;
const SOON: Duration = Duration::from_secs(1);
const LINES: u16 = 22;
const ECHO: u16 = 7;

#[test]
fn of_20_flows_over_10_ports_10_work_and_10_are_refused_at_once_endpoint_independent_xdp()
-> Result<()> {
    ten_of_twenty("xdp", "endpoint-independent")
}

#[test]
fn of_20_flows_over_10_ports_10_work_and_10_are_refused_at_once_endpoint_independent_tc()
-> Result<()> {
    ten_of_twenty("tc", "endpoint-independent")
}

#[test]
fn of_20_flows_over_10_ports_10_work_and_10_are_refused_at_once_address_and_port_dependent()
-> Result<()> {
    ten_of_twenty("tc", "address-and-port-dependent")
}

#[test]
fn of_20_flows_over_10_ports_10_work_and_10_are_refused_at_once_auto() -> Result<()> {
    ten_of_twenty("xdp", "auto")
}

fn ten_of_twenty(datapath: &str, mapping: &str) -> Result<()> {
    let scene = start(datapath, mapping)?;
    let (_lines, _echo) = serve(&scene)?;
    let mut works = Vec::new();
    let mut refused = 0;
    for flow in flows(&scene) {
        let begun = Instant::now();
        match flow.open(scene.topology.server.addr, 0) {
            Ok(open) => works.push(open),
            Err(error) if error.kind() == ErrorKind::HostUnreachable => {
                ensure!(begun.elapsed() < SOON, "told after {:?}", begun.elapsed());
                refused += 1;
            }
            Err(error) => bail!("{error} after {:?}", begun.elapsed()),
        }
    }
    ensure!(
        (works.len(), refused) == (2 * POOL, 2 * POOL),
        "{} work, {refused} are refused",
        works.len()
    );
    for open in &mut works {
        open.talk().context("after the others were refused")?;
    }
    let counted = scene.gateway.verdict("ports_exhausted")?;
    // Nobody is sent away twice for one attempt.
    ensure!(counted == 2 * POOL as u64, "{counted} refusals are counted");
    Ok(())
}

#[test]
fn with_auto_20_flows_over_10_ports_to_two_destinations_all_work_xdp() -> Result<()> {
    twenty_of_twenty("xdp", "auto")
}

#[test]
fn with_auto_20_flows_over_10_ports_to_two_destinations_all_work_tc() -> Result<()> {
    twenty_of_twenty("tc", "auto")
}

fn twenty_of_twenty(datapath: &str, mapping: &str) -> Result<()> {
    let scene = start(datapath, mapping)?;
    let (_lines, _echo) = serve(&scene)?;
    let server = &scene.topology.server;
    let _second = (
        LineServer::start(&server.netns, LINES + 1)?,
        UdpEcho::start(&server.netns, ECHO + 1)?,
    );
    let mut works = Vec::new();
    for (number, flow) in flows(&scene).into_iter().enumerate() {
        let open = flow.open(server.addr, (number % 4 / 2) as u16);
        works.push(open.with_context(|| format!("flow {number}"))?);
    }
    for open in &mut works {
        open.talk()?;
    }
    let shared = scene.gateway.ctl_json(&["status"])?["events"]["port_shared"].clone();
    ensure!(shared == 2 * POOL, "{shared} share a port");
    Ok(())
}

fn start(datapath: &str, mapping: &str) -> Result<Scene> {
    Plan {
        entry: &format!("mapping = {mapping:?}\nports = \"20000-20009\""),
        ..Plan::routed(datapath)
    }
    .start()
}

fn serve(scene: &Scene) -> Result<(LineServer, UdpEcho)> {
    let server = &scene.topology.server.netns;
    Ok((
        LineServer::start(server, LINES)?,
        UdpEcho::start(server, ECHO)?,
    ))
}

/// 20 of UDP and 20 of TCP, of both clients, with the same ports.
fn flows(scene: &Scene) -> Vec<Flow<'_>> {
    let ports = 3000..3000 + POOL as u16;
    ports
        .flat_map(|port| {
            scene.topology.clients.iter().flat_map(move |client| {
                [false, true].map(|tcp| Flow {
                    netns: &client.netns,
                    port,
                    tcp,
                })
            })
        })
        .collect()
}

struct Flow<'a> {
    netns: &'a Netns,
    port: u16,
    tcp: bool,
}

enum Open {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Flow<'_> {
    /// Opens it and exchanges a word; `which` of the servers' ports.
    fn open(&self, server: Ipv4Addr, which: u16) -> io::Result<Open> {
        let run = || {
            let own = at(Ipv4Addr::UNSPECIFIED, self.port).into();
            let (kind, protocol) = if self.tcp {
                (Type::STREAM, Protocol::TCP)
            } else {
                (Type::DGRAM, Protocol::UDP)
            };
            let socket = Socket::new(Domain::IPV4, kind, Some(protocol))?;
            socket.bind(&own)?;
            let port = if self.tcp { LINES } else { ECHO } + which;
            socket.connect_timeout(&at(server, port).into(), 2 * SOON)?;
            socket.set_read_timeout(Some(2 * SOON))?;
            let mut open = if self.tcp {
                Open::Tcp(socket.into())
            } else {
                Open::Udp(socket.into())
            };
            open.exchange()?;
            Ok(open)
        };
        let mut result = Err(ErrorKind::Other.into());
        self.netns
            .enter(|| {
                result = run();
                Ok(())
            })
            .map_err(io::Error::other)?;
        result
    }
}

impl Open {
    fn talk(&mut self) -> Result<()> {
        for _ in 0..3 {
            self.exchange()?;
        }
        Ok(())
    }

    fn exchange(&mut self) -> io::Result<()> {
        let mut answer = [0; 64];
        match self {
            Self::Tcp(stream) => {
                stream.write_all(b"word\n")?;
                stream.read_exact(&mut answer[..5])
            }
            Self::Udp(socket) => {
                socket.send(b"word")?;
                socket.recv(&mut answer).map(drop)
            }
        }
    }
}
