//! TCP connections of a client by two ENIs, which live through whatever becomes of these.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    scene::Scene,
    topology::two_enis::{ETH0, ETH1},
    traffic::SSH,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// All by one ENI: once in a million times, if a quarter should go by the other.
const MANY: usize = 48;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// Its external address.
    pub addr: Ipv4Addr,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// A line there and back.
    pub fn talk(&mut self) -> Result<()> {
        self.say()?;
        self.hear()
    }

    /// A line there.
    pub fn say(&mut self) -> Result<()> {
        Ok(self.reader.get_mut().write_all(b"hello\n")?)
    }

    /// A line back.
    pub fn hear(&mut self) -> Result<()> {
        let mut line = String::new();
        let addr = self.addr;
        let read = self.reader.read_line(&mut line);
        read.with_context(|| format!("a connection as {addr}"))?;
        ensure!(line == "hello\n", "{addr}: {line:?}");
        Ok(())
    }
}

/// Connections of the second client, some by each ENI.
pub(super) fn open(scene: &Scene) -> Result<Vec<Connection>> {
    let (client, server) = (&scene.topology.clients[1], &scene.topology.server);
    let connect = |_| {
        let stream = TcpStream::connect((server.addr, SSH))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    let streams: Vec<_> = client.netns.enter(|| (0..MANY).map(connect).collect())?;
    let flows = scene.gateway.flows()?;
    let mut connections = Vec::new();
    for stream in streams {
        let port = stream.local_addr()?.port();
        let flow = flows
            .iter()
            .find(|flow| flow.client == client.addr && flow.client_port == port)
            .with_context(|| format!("no flow of port {port}"))?;
        connections.push(Connection {
            addr: flow.external,
            reader: BufReader::new(stream),
        });
    }
    for addr in [ETH0, ETH1] {
        let found = connections.iter().any(|one| one.addr == addr);
        ensure!(found, "no connection as {addr}");
    }
    Ok(connections)
}
