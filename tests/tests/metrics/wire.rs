//! Values equal packets counted on the wire by independent captures, exactly, while a Prometheus scrapes.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
    thread,
};

use anyhow::{Result, ensure};
use snat_tests::{
    capture::{Capture, Direction, Report},
    http::{Client, HttpServer},
    ping::ping,
    prometheus::Prometheus,
    raw::Packet,
    scene::Scene,
    segment::{ACK, PSH},
    sender::Sender,
    topology::{Host, Shape},
    traffic::{ECHO, HTTP},
    udp::{self, UdpEcho},
};

use crate::ground::{LOOPBACK, start};

const DOWNLOAD: u64 = 30_000_000;
/// Of Ethernet, which the captures leave out.
const ETHERNET: u64 = 14;
/// What is sent to be dropped: the reason, and how often. Fewer than `answers_per_second`.
const DROPS: [(&str, u64); 6] = [
    ("tcp_no_flow", 23),
    ("icmp_type", 11),
    ("malformed_transport", 7),
    ("unknown_protocol", 5),
    ("unsolicited", 17),
    ("stray_in", 3),
];

macro_rules! everywhere {
    ($($name:ident: $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            prometheus_has_what_was_on_the_wire(&start($datapath, Shape::$shape)?)
        })+
    };
}

everywhere! {
    prometheus_has_what_was_on_the_wire_xdp_routed: "xdp", Routed;
    prometheus_has_what_was_on_the_wire_tc_routed: "tc", Routed;
}

fn prometheus_has_what_was_on_the_wire(scene: &Scene) -> Result<()> {
    let topology = &scene.topology;
    for client in &topology.clients {
        // What is under way fits every queue: a packet that one has no room for is counted, and on no wire.
        client
            .netns
            .sysctl("net/ipv4/tcp_rmem", "4096 32768 65536")?;
    }
    let prometheus = Prometheus::start(&topology.gateway.netns, LOOPBACK, None)?;
    // Next hops are known from here on, and every queue is as long as it will be.
    for client in &topology.clients {
        ping(&client.netns, topology.server.addr, 1, 1)?;
    }
    prometheus.scraped()?;
    let before = Counted::of(&prometheus)?;
    let (switch, router) = (&topology.fabric[0], &topology.fabric[1]);
    let (inside, outside) = (Capture::start(switch, "gw")?, Capture::start(router, "gw")?);

    traffic(scene)?;
    to_be_dropped(scene)?;

    let (inside, outside) = (inside.finish()?, outside.finish()?);
    prometheus.scraped()?;
    let counted = Counted::of(&prometheus)?.since(&before);
    let answers = counted.answers;
    let from_server = |src| src == topology.server.addr;
    let (out, came_in) = (
        sent(&outside, |src| src == topology.external),
        sent(&inside, from_server),
    );
    println!(
        "{} packets out, {} in by Prometheus and on the wire",
        out.total().0,
        came_in.total().0
    );
    println!("by protocol: out {:?}, in {:?}", out.0, came_in.0);
    ensure!(
        counted.directions[0] == out.total(),
        "out: Prometheus has {:?}, on the wire were {out:?}",
        counted.directions[0]
    );
    // An RST of the gateway's own says that it is the server.
    let (packets, bytes) = came_in.total();
    let reset = 40 + ETHERNET;
    ensure!(
        counted.directions[1] == (packets - answers, bytes - answers * reset),
        "in: Prometheus has {:?} and {answers} answers, on the wire were {came_in:?}",
        counted.directions[1]
    );
    ensure!(answers == 23, "{answers} answers");
    ensure!(
        counted.drops == DROPS.into_iter().collect(),
        "Prometheus has {:?}, sent to be dropped were {DROPS:?}",
        counted.drops
    );
    Ok(())
}

/// What Prometheus has of the traffic; since a moment, what it has more.
struct Counted {
    /// Packets and bytes, out and in.
    directions: [(u64, u64); 2],
    answers: u64,
    drops: BTreeMap<&'static str, u64>,
}

impl Counted {
    fn of(prometheus: &Prometheus<'_>) -> Result<Self> {
        let value = |expression: &str| prometheus.value(expression).map(|value| value as u64);
        let direction = |way: &str| -> Result<(u64, u64)> {
            let of = |name: &str| value(&format!("snat_{name}_total{{direction=\"{way}\"}}"));
            Ok((of("packets")?, of("bytes")?))
        };
        let drops = |(reason, _): (&'static str, u64)| {
            let count = value(&format!("snat_drops_total{{reason=\"{reason}\"}}"))?;
            Ok((reason, count))
        };
        Ok(Self {
            directions: [direction("out")?, direction("in")?],
            answers: value("snat_answers_total{outcome=\"sent\"}")?,
            drops: DROPS.into_iter().map(drops).collect::<Result<_>>()?,
        })
    }

    fn since(self, before: &Self) -> Self {
        let [out, inwards] = [0, 1].map(|way: usize| {
            let (now, then) = (self.directions[way], before.directions[way]);
            (now.0 - then.0, now.1 - then.1)
        });
        let drops = self.drops.iter();
        Self {
            directions: [out, inwards],
            answers: self.answers - before.answers,
            drops: drops
                .map(|(reason, count)| (*reason, count - before.drops[reason]))
                .collect(),
        }
    }
}

/// Packets, and bytes with Ethernet headers, by protocol.
#[derive(Debug, Default)]
struct Wire(BTreeMap<u8, (u64, u64)>);

impl Wire {
    fn total(&self) -> (u64, u64) {
        let sum = |(packets, bytes), more: &(u64, u64)| (packets + more.0, bytes + more.1);
        self.0.values().fold((0, 0), sum)
    }
}

/// What the gateway has sent that has such a source, as its neighbour received it.
fn sent(report: &Report, from: impl Fn(Ipv4Addr) -> bool) -> Wire {
    let mut wire = Wire::default();
    for ((way, seen), packets) in &report.packets {
        if *way == Direction::In && from(seen.src) {
            let entry = wire.0.entry(seen.protocol).or_default();
            entry.0 += packets;
            entry.1 += report.bytes[&(*way, *seen)] + packets * ETHERNET;
        }
    }
    wire
}

/// A download, an upload of many connections, UDP of all sizes and pings, by both clients at once.
fn traffic(scene: &Scene) -> Result<()> {
    let topology = &scene.topology;
    let server = &topology.server;
    let _http = HttpServer::start(&server.netns, HTTP)?;
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    let all = |client: &Host| -> Result<()> {
        let http = Client::new(&client.netns, server.addr, HTTP);
        http.get(&format!("/bytes/{DOWNLOAD}"))?;
        http.get_from_ports("/whoami", &(20_000..20_050).collect::<Vec<_>>())?;
        udp::exchange(
            &client.netns,
            SocketAddrV4::new(server.addr, ECHO),
            5353,
            100,
        )?;
        ping(&client.netns, server.addr, 77, 20).map(drop)
    };
    let [first, second] = &topology.clients;
    thread::scope(|scope| {
        let first = scope.spawn(|| all(first));
        all(second)?;
        first
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn to_be_dropped(scene: &Scene) -> Result<()> {
    let topology = &scene.topology;
    let (client, server) = (&topology.clients[0], &topology.server);
    let at = SocketAddrV4::new;
    let (inner, outer) = (at(client.addr, 30_000), at(server.addr, 9999));
    let external = at(topology.external, 2000);
    let mut cut = Packet::udp(inner, outer, 0);
    cut.payload.truncate(4);
    let from_client = [
        Packet::tcp(inner, outer, ACK | PSH),
        // A timestamp request.
        Packet::icmp(client.addr, server.addr, 13, 0, &[0; 16]),
        cut,
        // No protocol has this number yet.
        Packet::new(client.addr, server.addr, 200, vec![0; 8]),
    ];
    let from_server = [
        Packet::udp(outer, external, 10),
        Packet::tcp(outer, external, ACK),
    ];
    let counts = DROPS.map(|(_, count)| count);
    for (sender, packets, counts) in [
        (Sender::open(&client.netns)?, &from_client[..], &counts[..4]),
        (Sender::open(&server.netns)?, &from_server, &counts[4..]),
    ] {
        for (packet, count) in packets.iter().zip(counts) {
            (0..*count).try_for_each(|_| sender.send(packet))?;
        }
    }
    // They are through when these are.
    ping(&client.netns, server.addr, 2, 1).map(drop)
}
