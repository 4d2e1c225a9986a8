//! Clients of a gateway with two ENIs, and as whom the server sees them.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::connection::{self, Connection};
use crate::{
    scene::{Plan, Scene},
    session::LineServer,
    topology::two_enis::ETH1,
    traffic::{ECHO, SSH},
    udp::UdpEcho,
    wait,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// An answer takes far less than a millisecond.
const SILENCE: Duration = Duration::from_millis(250);

/// The external endpoint that each of a client's ports was seen by.
pub type Seen = BTreeMap<u16, SocketAddrV4>;

/// Those of `seen` that have this external address.
#[must_use]
pub fn seen_as(addr: Ipv4Addr, seen: &Seen) -> Seen {
    let some = seen.iter().filter(|(_, external)| *external.ip() == addr);
    some.map(|(port, external)| (*port, *external)).collect()
}

/// Fails unless so many of a hundred go by eth1, give or take two.
pub fn expect_by_eth1(seen: &Seen, wanted: f64) -> Result<()> {
    let share = 100.0 * seen_as(ETH1, seen).len() as f64 / seen.len() as f64;
    println!("{share:.2} of 100 flows go by eth1, {wanted} should");
    ensure!((share - wanted).abs() < 2.0, "{share} of 100, not {wanted}");
    Ok(())
}

/// Both clients, their gateway, and a server that they ask.
pub struct Clients {
    /// The gateway and its network.
    pub scene: Scene,
    _servers: (UdpEcho, LineServer),
}

impl Clients {
    /// Starts the gateway, whose network must be that of [`Shape::TwoEnis`](crate::topology::Shape), and the server.
    pub fn start(plan: &Plan<'_>) -> Result<Self> {
        let scene = plan.start()?;
        let server = &scene.topology.server.netns;
        let _servers = (
            UdpEcho::start(server, ECHO)?,
            LineServer::start(server, SSH)?,
        );
        Ok(Self { scene, _servers })
    }

    /// As whom the server sees the first client's ports, each of which is a flow.
    pub fn ask(&self, ports: impl IntoIterator<Item = u16>) -> Result<Seen> {
        self.ask_within(PATIENCE, ports)
    }

    /// As [`Clients::ask`], and fails if any is not answered at once.
    pub fn ask_at_once(&self, ports: impl IntoIterator<Item = u16>) -> Result<Seen> {
        self.ask_within(SILENCE, ports)
    }

    /// Fails unless all of these are seen as before.
    pub fn expect_same(&self, before: &Seen) -> Result<()> {
        ensure!(
            self.ask(before.keys().copied())? == *before,
            "others than before"
        );
        Ok(())
    }

    /// Fails if any of these is answered.
    pub fn expect_silence(&self, ports: impl IntoIterator<Item = u16>) -> Result<()> {
        let ports: Vec<_> = ports.into_iter().collect();
        self.scene.topology.clients[0].netns.enter(|| {
            for port in ports {
                let answer = self.answer(port, SILENCE);
                ensure!(answer.is_err(), "{port} was answered: {answer:?}");
            }
            Ok(())
        })
    }

    /// Waits until there are answers again, and fails unless all of these are seen as before.
    pub fn expect_answers(&self, before: &Seen) -> Result<()> {
        let (first, _) = before.first_key_value().context("nobody to wait for")?;
        wait::until(PATIENCE, "an answer", || self.ask_at_once([*first]))?;
        self.expect_same(before)
    }

    /// Connections of the second client, some by each ENI.
    pub fn connect(&self) -> Result<Vec<Connection>> {
        connection::open(&self.scene)
    }

    fn ask_within(&self, patience: Duration, ports: impl IntoIterator<Item = u16>) -> Result<Seen> {
        let ports: Vec<_> = ports.into_iter().collect();
        self.scene.topology.clients[0].netns.enter(|| {
            let asked = ports
                .iter()
                .map(|port| Ok((*port, self.answer(*port, patience)?)));
            asked.collect()
        })
    }

    /// What a port is told by the server. In the client's namespace.
    fn answer(&self, port: u16, patience: Duration) -> Result<SocketAddrV4> {
        let socket = UdpSocket::bind((self.scene.topology.clients[0].addr, port))?;
        socket.connect((self.scene.topology.server.addr, ECHO))?;
        socket.set_read_timeout(Some(patience))?;
        socket.send(b"who am I?")?;
        let mut answer = [0; 64];
        let len = socket
            .recv(&mut answer)
            .with_context(|| format!("no answer to port {port}"))?;
        let answer = String::from_utf8_lossy(&answer[..len]);
        let (peer, _) = answer.split_once(' ').context("no echo")?;
        Ok(peer.parse()?)
    }
}
