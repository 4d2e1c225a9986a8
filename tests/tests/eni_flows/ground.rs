//! A gateway with two ENIs, their policy routes made by hand, and clients that ask who they are.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use snat_ctl::datapath::{EniHint, Pins, follow_enis};
use snat_tests::{
    scene::{Plan, Scene},
    session::LineServer,
    topology::Shape,
    traffic::ECHO,
    wait,
};

pub(crate) const ETH0: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub(crate) const ETH1: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// Where the default route goes.
const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer takes far less than a millisecond.
const SILENCE: Duration = Duration::from_millis(100);
const LINES: u16 = 22;

/// The external endpoint that each of a client's ports was seen by.
pub(crate) type Seen = BTreeMap<u16, SocketAddrV4>;

pub(crate) struct Ground {
    pub(crate) scene: Scene,
    _lines: LineServer,
}

impl Ground {
    /// Starts the gateway and makes a table with a guard for each ENI.
    pub(crate) fn start(datapath: &str) -> Result<Self> {
        let scene = Plan {
            shape: Shape::TwoEnis,
            gateway: "max_flows = 65536",
            ..Plan::routed(datapath)
        }
        .start()?;
        scene
            .topology
            .gateway
            .netns
            .ip("route add default via 203.0.113.1 dev eth0 table 1000
             route add unreachable default metric 4294967295 table 1000
             rule add from 203.0.113.10 lookup 1000 priority 1000
             route add default via 192.0.2.1 dev eth1 table 1001
             route add unreachable default metric 4294967295 table 1001
             rule add from 192.0.2.10 lookup 1001 priority 1001")?;
        let _lines = LineServer::start(&scene.topology.server.netns, LINES)?;
        Ok(Self { scene, _lines })
    }

    /// Starts a gateway that makes and keeps the policy routes itself.
    pub(crate) fn configured(datapath: &str) -> Result<Self> {
        let scene = Plan {
            shape: Shape::TwoEnis,
            sections: "[[eni]]\nmatch = { name = \"eth0\" }\nweight = 1\n\
                       [[eni]]\nmatch = { name = \"eth1\" }\nweight = 1\n",
            ..Plan::routed(datapath)
        }
        .start()?;
        let _lines = LineServer::start(&scene.topology.server.netns, LINES)?;
        Ok(Self { scene, _lines })
    }

    /// Tells the datapath of the weights of eth0 and eth1.
    pub(crate) fn follow(&self, weights: [u16; 2]) -> Result<()> {
        let netns = &self.scene.topology.gateway.netns;
        let indices = netns.enter(|| Ok([if_nametoindex("eth0")?, if_nametoindex("eth1")?]))?;
        let hint = |nth: usize, default_route| EniHint {
            ifindex: indices[nth],
            weight: weights[nth],
            default_route,
        };
        let hints = [hint(0, Some((ROUTER, 100))), hint(1, None)];
        let sources = [ETH0.into(), ETH1.into()];
        let pins = Pins::of(self.scene.gateway.name());
        ensure!(follow_enis(&pins, &sources, &hints)?, "nothing was changed");
        ensure!(
            !follow_enis(&pins, &sources, &hints)?,
            "the same is no change"
        );
        Ok(())
    }

    /// As whom the server sees the first client's ports.
    pub(crate) fn ask(&self, ports: impl IntoIterator<Item = u16>) -> Result<Seen> {
        let ports: Vec<_> = ports.into_iter().collect();
        self.scene.topology.clients[0].netns.enter(|| {
            let asked = ports
                .iter()
                .map(|port| Ok((*port, self.answer(*port, PATIENCE)?)));
            asked.collect()
        })
    }

    /// The same.
    pub(crate) fn ask_all<'a>(&self, ports: impl IntoIterator<Item = &'a u16>) -> Result<Seen> {
        self.ask(ports.into_iter().copied())
    }

    /// Fails unless so many of a hundred go by eth1, give or take two.
    pub(crate) fn expect_share(&self, seen: &Seen, wanted: f64) -> Result<()> {
        let by_eth1 = seen.values().filter(|external| *external.ip() == ETH1);
        let share = 100.0 * by_eth1.count() as f64 / seen.len() as f64;
        println!("{share:.2} of 100 flows go by eth1, {wanted} should");
        ensure!((share - wanted).abs() < 2.0, "{share} of 100, not {wanted}");
        Ok(())
    }

    /// Fails if any of these is answered.
    pub(crate) fn expect_silence<'a>(&self, ports: impl Iterator<Item = &'a u16>) -> Result<()> {
        let ports: Vec<_> = ports.copied().collect();
        self.scene.topology.clients[0].netns.enter(|| {
            for port in ports {
                let answer = self.answer(port, SILENCE);
                ensure!(answer.is_err(), "{port} was answered: {answer:?}");
            }
            Ok(())
        })
    }

    /// Waits until all of these are seen as before.
    pub(crate) fn expect_answers(&self, before: &Seen) -> Result<()> {
        let (first, _) = before.first_key_value().context("nobody to wait for")?;
        wait::until(PATIENCE, "an answer by eth1", || {
            self.scene.topology.clients[0]
                .netns
                .enter(|| self.answer(*first, SILENCE))
        })?;
        ensure!(
            self.ask_all(before.keys())? == *before,
            "others than before"
        );
        Ok(())
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

    /// Connections of the second client, some by each ENI.
    pub(crate) fn connect(&self) -> Result<Vec<Connection>> {
        let (client, server) = (&self.scene.topology.clients[1], &self.scene.topology.server);
        let open = || {
            let stream = TcpStream::connect((server.addr, LINES))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let streams: Vec<_> = client.netns.enter(|| (0..24).map(|_| open()).collect())?;
        let flows = self.scene.gateway.flows()?;
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

    /// Takes eth1 down, as whoever watches the links would then tell the datapath.
    pub(crate) fn lose_eth1(&self) -> Result<()> {
        let gateway = &self.scene.topology.gateway.netns;
        gateway.ip("link set eth1 down")?;
        self.follow([1, 0])
    }

    /// Brings it up, and back what went with it.
    pub(crate) fn restore_eth1(&self) -> Result<()> {
        self.scene.topology.gateway.netns.ip("link set eth1 up
             route add default via 192.0.2.1 dev eth1 table 1001")?;
        self.follow([3, 1])
    }
}

/// A TCP connection that lives through all of it.
pub(crate) struct Connection {
    /// Its external address.
    pub(crate) addr: Ipv4Addr,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// A line there and back.
    pub(crate) fn talk(&mut self) -> Result<()> {
        self.say()?;
        self.hear()
    }

    pub(crate) fn say(&mut self) -> Result<()> {
        Ok(self.reader.get_mut().write_all(b"hello\n")?)
    }

    pub(crate) fn hear(&mut self) -> Result<()> {
        let mut line = String::new();
        let addr = self.addr;
        let read = self.reader.read_line(&mut line);
        read.with_context(|| format!("a connection as {addr}"))?;
        ensure!(line == "hello\n", "{addr}: {line:?}");
        Ok(())
    }
}
