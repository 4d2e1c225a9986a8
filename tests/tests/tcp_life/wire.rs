//! Both ends of made-up TCP connections through a gateway.

use std::{collections::BTreeSet, net::SocketAddrV4, time::Duration};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Heard, Tap},
    ping::ping,
    raw::Packet,
    scene::{Plan, Scene},
    segment::{ACK, PSH, SYN, Segment},
    sender::{Sender, speak_for},
};

/// Of all states but an established connection's.
pub(crate) const SHORT: Duration = Duration::from_millis(1500);
/// Of an established connection.
pub(crate) const LONG: Duration = Duration::from_secs(7);
pub(crate) const TIMEOUTS: &str = r#"
[timeouts]
tcp_opening = "1500ms"
tcp_closing = "1500ms"
tcp_established = "7s"
port_rest = "1s"
"#;
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// A segment of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// From the client.
    Out(u8),
    /// From the server.
    In(u8),
}

/// A connection as its ends see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) client: SocketAddrV4,
    pub(crate) external: SocketAddrV4,
    pub(crate) server: SocketAddrV4,
}

/// Speaks for the clients' ports 4000 to 4999 and the servers' 9000 to 9999.
pub(crate) struct Wire {
    pub(crate) scene: Scene,
    pub(crate) inside: Tap,
    pub(crate) outside: Tap,
    pub(crate) from_client: Sender,
    pub(crate) from_server: Sender,
}

impl Wire {
    pub(crate) fn start(plan: &Plan<'_>) -> Result<Self> {
        let scene = plan.start()?;
        let [client, other] = &scene.topology.clients;
        let server = &scene.topology.server;
        speak_for(&client.netns, 4000, 4999)?;
        speak_for(&server.netns, 9000, 9999)?;
        // Next hops are known from here on.
        for client in [client, other] {
            ping(&client.netns, server.addr, 1, 1)?;
        }
        Ok(Self {
            inside: Tap::open(&client.netns, "eth0")?,
            outside: Tap::open(&server.netns, "eth0")?,
            from_client: Sender::open(&client.netns)?,
            from_server: Sender::open(&server.netns)?,
            scene,
        })
    }

    /// Ports number `number` of the first client and of the server.
    pub(crate) fn ends(&self, number: u16) -> (SocketAddrV4, SocketAddrV4) {
        let topology = &self.scene.topology;
        (
            SocketAddrV4::new(topology.clients[0].addr, 4000 + number),
            SocketAddrV4::new(topology.server.addr, 9000 + number),
        )
    }

    /// Sends a connection's first SYN.
    pub(crate) fn syn(&self, client: SocketAddrV4, server: SocketAddrV4) -> Result<Connection> {
        self.from_client
            .send(&Segment::new(client, server, SYN).packet())?;
        let external = self.outside.next("the SYN", SOON, |heard| {
            (heard.protocol() == 6 && heard.ports().1 == server.port() && flags(heard) == SYN)
                .then(|| SocketAddrV4::new(heard.src(), heard.ports().0))
        })?;
        ensure!(
            *external.ip() == self.scene.topology.external,
            "seen as {external}"
        );
        Ok(Connection {
            client,
            external,
            server,
        })
    }

    /// Opens a connection.
    pub(crate) fn open(&self, number: u16) -> Result<Connection> {
        let (client, server) = self.ends(number);
        let connection = self.syn(client, server)?;
        self.steps(&connection, &[Step::In(SYN | ACK), Step::Out(ACK)])?;
        Ok(connection)
    }

    /// Sends segments, each once the one before has arrived.
    pub(crate) fn steps(&self, connection: &Connection, steps: &[Step]) -> Result<()> {
        let Connection {
            client,
            external,
            server,
        } = *connection;
        for step in steps {
            let what = format!("{step:?} of {connection:?}");
            let arrived = |src: SocketAddrV4, dst: SocketAddrV4, sent: u8| {
                move |heard: &Heard| {
                    (endpoints(heard) == Some((src, dst)) && flags(heard) == sent).then_some(())
                }
            };
            match *step {
                Step::Out(flags) => {
                    self.from_client
                        .send(&Segment::new(client, server, flags).packet())?;
                    self.outside
                        .next(&what, SOON, arrived(external, server, flags))?;
                }
                Step::In(flags) => {
                    self.from_server
                        .send(&Segment::new(server, external, flags).packet())?;
                    self.inside
                        .next(&what, SOON, arrived(server, client, flags))?;
                }
            }
        }
        Ok(())
    }

    /// Sends data on each connection, from its client; those whose server it came to.
    pub(crate) fn reach_server(&self, connections: &[Connection]) -> Result<BTreeSet<usize>> {
        self.outside.all(|_| None::<()>)?;
        for (number, connection) in connections.iter().enumerate() {
            let Connection { client, server, .. } = *connection;
            self.from_client.send(&data(client, server, number))?;
        }
        self.settle()?;
        let expected = |at: usize| {
            connections
                .get(at)
                .map(|connection| (connection.external, connection.server))
        };
        arrived(&self.outside, expected)
    }

    /// Sends data on each connection, from its server; those whose client it came to.
    pub(crate) fn reach_client(&self, connections: &[Connection]) -> Result<BTreeSet<usize>> {
        self.inside.all(|_| None::<()>)?;
        for (number, connection) in connections.iter().enumerate() {
            let Connection {
                external, server, ..
            } = *connection;
            self.from_server.send(&data(server, external, number))?;
        }
        self.settle()?;
        let expected = |at: usize| {
            connections
                .get(at)
                .map(|connection| (connection.server, connection.client))
        };
        arrived(&self.inside, expected)
    }

    /// Once these are answered, whatever was sent before has arrived or never will.
    pub(crate) fn settle(&self) -> Result<()> {
        let topology = &self.scene.topology;
        let client = &topology.clients[0].netns;
        ping(client, topology.server.addr, 1, 3).map(drop)
    }
}

/// A segment's flags.
pub(crate) fn flags(heard: &Heard) -> u8 {
    heard.payload().get(13).copied().unwrap_or_default()
}

/// Source and destination of TCP.
pub(crate) fn endpoints(heard: &Heard) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let (src, dst) = heard.ports();
    (heard.protocol() == 6).then(|| {
        (
            SocketAddrV4::new(heard.src(), src),
            SocketAddrV4::new(heard.dst(), dst),
        )
    })
}

fn data(src: SocketAddrV4, dst: SocketAddrV4, number: usize) -> Packet {
    let mut segment = Segment::new(src, dst, ACK | PSH);
    segment.data = format!("data {number:03}").into_bytes();
    segment.packet()
}

/// Numbers of the data segments that a tap has heard, each from and to whom it must be.
fn arrived(
    tap: &Tap,
    expected: impl Fn(usize) -> Option<(SocketAddrV4, SocketAddrV4)>,
) -> Result<BTreeSet<usize>> {
    let heard = tap.all(|heard| {
        let text = std::str::from_utf8(heard.payload().get(20..)?).ok()?;
        let number: usize = text.strip_prefix("data ")?.parse().ok()?;
        Some((number, heard.clone()))
    })?;
    let mut numbers = BTreeSet::new();
    for (number, heard) in heard {
        heard.expect_sound()?;
        let seen = endpoints(&heard).context("no TCP")?;
        let expected = expected(number).context("data that nobody sent")?;
        ensure!(seen == expected, "{seen:?} instead of {expected:?}");
        numbers.insert(number);
    }
    Ok(numbers)
}
