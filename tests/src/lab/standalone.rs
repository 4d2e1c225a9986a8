//! One SNAT server with one NIC and an EIP; two instances without one; an Internet host.

use std::{
    any::Any,
    collections::HashSet,
    net::{SocketAddr, SocketAddrV4},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use super::{Scenario, Standing, Step, Story};
use crate::{
    capture::{Capture, Direction},
    gateway::Gateway,
    http::{self, Client, HttpServer},
    netns::Netns,
    ping::ping,
    session::{LineServer, Session},
    topology::{Host, Offloads, Shape, Topology},
    traffic::{ECHO, HTTP, SSH},
    udp::{self, UdpEcho},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "standalone",
    about: "one SNAT server with one NIC takes a VPC's instances to the Internet",
    drawing: DRAWING,
    run,
};

const DRAWING: &str = "    VPC 172.16.0.0/16                       │        Internet
                                            │
    c1 172.16.1.11 ──┐                      │
                     ├── vpc ───────────── edge ──── srv 198.51.100.20
    c2 172.16.1.12 ──┘    │                 │        HTTP, UDP echo
                          │                 │
                   gw 172.16.0.10           EIP 203.0.113.10
                   one NIC, snat-ctl        <-> 172.16.0.10

    route table of the VPC: 0.0.0.0/0 -> 172.16.0.10 (gw)";

const DOWNLOAD: u64 = 100_000_000;

fn run(story: &mut Story<'_>, datapath: &str) -> Result<Box<dyn Standing>> {
    let topology = Topology::build(Shape::OneArm, Offloads::Off, "snat-")?;
    let services: Vec<Box<dyn Any>> = vec![
        Box::new(HttpServer::start(&topology.server.netns, HTTP)?),
        Box::new(UdpEcho::start(&topology.server.netns, ECHO)?),
        Box::new(LineServer::start(&topology.gateway.netns, SSH)?),
    ];
    let outside = Capture::start(&topology.server.netns, "eth0")?;

    let mut gateway = None;
    story.step("The gateway starts on gw", |step| {
        let start = Instant::now();
        let started = Gateway::start(&topology, "lab", datapath)?;
        let took = start.elapsed().as_secs_f32();
        let ready = started
            .log()
            .lines()
            .rfind(|line| line.starts_with("ready"))
            .map(str::to_owned);
        step.saw(
            "gw",
            format!(
                "snat-ctl run, after {took:.1} s: {}",
                ready.unwrap_or_default()
            ),
            true,
        );
        gateway = Some(started);
        Ok(())
    });
    let Some(gateway) = gateway else {
        bail!("no gateway, no story")
    };
    let ssh = Session::open(
        &topology.server.netns,
        SocketAddrV4::new(topology.external, SSH),
    );

    story.step(
        "Both instances ask srv who they are, from the same ports",
        |step| same_ports(step, &topology),
    );
    story.step("The flow table: snat-ctl flows", |step| {
        let flows = gateway.ctl(&["flows"])?;
        let known = topology
            .clients
            .iter()
            .all(|client| flows.contains(&client.addr.to_string()));
        step.saw("gw", "has the flows of c1 and c2", known);
        step.table = Some(flows);
        Ok(())
    });
    story.step("c1 downloads 100 MB over HTTP", |step| {
        download(step, &topology)
    });
    story.step(
        "Both open 200 HTTP connections at once, from the same 200 ports",
        |step| parallel(step, &topology),
    );
    story.step("gw's own connections go on untouched", |step| {
        own_traffic(step, &topology, ssh)
    });
    story.step("What srv's network card saw of all this", |step| {
        let report = outside.finish()?;
        report.expect_sound()?;
        let (sources, total) = (report.sources(Direction::In), report.total());
        step.saw(
            "srv",
            format!("{total} packets, every checksum right"),
            true,
        );
        let senders: Vec<_> = sources.keys().map(ToString::to_string).collect();
        let only = sources.keys().eq([&topology.external]);
        step.saw(
            "srv",
            format!("received from {} only", senders.join(", ")),
            only,
        );
        Ok(())
    });
    story.step("The counters: snat-ctl status", |step| {
        step.table = Some(gateway.ctl(&["status"])?);
        Ok(())
    });
    Ok(Box::new(Setup {
        gateway,
        _services: services,
        topology,
    }))
}

struct Setup {
    gateway: Gateway,
    _services: Vec<Box<dyn Any>>,
    topology: Topology,
}

impl Standing for Setup {
    fn namespaces(&self) -> Vec<&Netns> {
        self.topology.namespaces().collect()
    }

    fn example(&self) -> &'static str {
        "--name lab flows"
    }

    fn take_down(&mut self, story: &mut Story<'_>) {
        let gateway = &mut self.gateway;
        story.step("The gateway is taken down", |step| {
            gateway.stop()?;
            gateway.ctl(&["unload"])?;
            step.saw(
                "gw",
                "snat-ctl unload: no pin of the instance is left",
                !gateway.pins().exists(),
            );
            Ok(())
        });
    }
}

fn same_ports(step: &mut Step, topology: &Topology) -> Result<()> {
    let Topology {
        clients,
        server,
        external,
        ..
    } = topology;
    let mut seen = HashSet::new();
    for (name, client) in ["c1", "c2"].iter().zip(clients) {
        let reply = whoami(client, server, 40_000)?;
        let peer: SocketAddr = reply.parse()?;
        let right = peer.ip() == *external && seen.insert(("tcp", peer));
        step.saw(
            name,
            format!(
                "TCP {}:40000 -> {}:{HTTP}   HTTP 200",
                client.addr, server.addr
            ),
            true,
        );
        step.saw("srv", format!("TCP from {peer}"), right);

        let peer = udp::exchange(&client.netns, SocketAddrV4::new(server.addr, ECHO), 5353, 3)?;
        let right = peer.ip() == *external && seen.insert(("udp", peer));
        step.saw(
            name,
            format!(
                "UDP {}:5353 -> {}:{ECHO}   3 answers",
                client.addr, server.addr
            ),
            true,
        );
        step.saw("srv", format!("UDP from {peer}"), right);

        let times = ping(&client.netns, server.addr, 7, 3)?;
        let best = times.iter().min().context("no ping")?;
        step.saw(
            name,
            format!(
                "ping {}, identifier 7   3 answers, best {best:.0?}",
                server.addr
            ),
            true,
        );
    }
    Ok(())
}

fn download(step: &mut Step, topology: &Topology) -> Result<()> {
    let expected = http::sha256(DOWNLOAD);
    let client = Client::new(&topology.clients[0].netns, topology.server.addr, HTTP);
    let start = Instant::now();
    let reply = client.get(&format!("/bytes/{DOWNLOAD}"))?;
    let seconds = start.elapsed().as_secs_f64();
    let rate = reply.len as f64 * 8.0 / seconds / 1e9;
    step.saw(
        "c1",
        format!(
            "HTTP {}, {} bytes in {seconds:.1} s ({rate:.1} Gbit/s)",
            reply.status, reply.len
        ),
        reply.len == DOWNLOAD,
    );
    let same = reply.sha256 == expected;
    let verdict = if same {
        "that of the bytes sent"
    } else {
        "NOT that of the bytes sent"
    };
    step.saw(
        "c1",
        format!("sha256 {}..., {verdict}", &reply.sha256[..32]),
        same,
    );
    Ok(())
}

fn parallel(step: &mut Step, topology: &Topology) -> Result<()> {
    let ports: Vec<u16> = (20_000..20_200).collect();
    let get = |client: &Host| {
        Client::new(&client.netns, topology.server.addr, HTTP).get_from_ports("/whoami", &ports)
    };
    let [first, second] = std::thread::scope(|scope| {
        let [c1, c2] = [&topology.clients[0], &topology.clients[1]]
            .map(|client| scope.spawn(move || get(client)));
        [c1, c2].map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    });
    let mut peers = HashSet::new();
    for (name, replies) in [("c1", first?), ("c2", second?)] {
        step.saw(
            name,
            format!("{} times HTTP 200", replies.len()),
            replies.len() == ports.len(),
        );
        for reply in &replies {
            peers.insert(reply.text.parse::<SocketAddr>()?);
        }
    }
    let right =
        peers.len() == 2 * ports.len() && peers.iter().all(|peer| peer.ip() == topology.external);
    step.saw(
        "srv",
        format!("{} different ports of {}", peers.len(), topology.external),
        right,
    );
    Ok(())
}

fn own_traffic(step: &mut Step, topology: &Topology, ssh: Result<Session>) -> Result<()> {
    let reply = whoami(&topology.gateway, &topology.server, 0)?;
    step.saw(
        "gw",
        format!("its own HTTP request: srv saw {reply}"),
        reply.starts_with(&topology.external.to_string()),
    );
    let lines = ssh?.finish()?;
    step.saw(
        "srv",
        format!("its login to gw, open all the while: {lines} lines there and back"),
        lines >= 10,
    );
    Ok(())
}

fn whoami(client: &Host, server: &Host, local_port: u16) -> Result<String> {
    let replies =
        Client::new(&client.netns, server.addr, HTTP).get_from_ports("/whoami", &[local_port])?;
    Ok(replies.into_iter().next().context("no reply")?.text)
}
