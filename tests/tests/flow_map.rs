//! The pinned flow table reads like the documents, and says what was on the wire.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    capture::{Capture, Direction, Seen},
    gateway::Gateway,
    observe::bpftool,
    ping::ping,
    session::{LineServer, Session},
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::ECHO,
    udp::{self, UdpEcho},
};

const SSH: u16 = 22;

/// What both ways of listing say of a flow: protocol, client, external, server.
type Line = (String, (Ipv4Addr, u16), (Ipv4Addr, u16), (Ipv4Addr, u16));

#[test]
fn bpftool_prints_names_and_addresses_and_lists_what_flows_lists() -> Result<()> {
    let (topology, mut gateway) = start("tc", Shape::OneArm)?;
    let _server = LineServer::start(&topology.server.netns, SSH)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let [first, second] = &topology.clients;
    let server = topology.server.addr;
    let session = Session::open(&first.netns, SocketAddrV4::new(server, SSH))?;
    udp::exchange(&second.netns, SocketAddrV4::new(server, ECHO), 5353, 3)?;
    ping(&second.netns, server, 7, 3)?;

    for daemon in ["running", "stopped"] {
        let dumped = dump(&gateway)?;
        let (keys, values): (Vec<_>, Vec<_>) =
            dumped.iter().map(|e| (&e["key"], &e["value"])).unzip();
        for protocol in ["Tcp", "Udp", "Icmp"] {
            let named = keys
                .iter()
                .filter(|key| key["protocol"] == protocol)
                .count();
            ensure!(
                named == 2,
                "{named} entries of {protocol}, daemon {daemon}: {dumped:?}"
            );
        }
        for (field, value) in [
            ("state", "TcpEstablished"),
            ("direction", "Out"),
            ("direction", "In"),
        ] {
            ensure!(
                values.iter().any(|v| v[field] == value),
                "no {field} {value}: {dumped:?}"
            );
        }
        let client: Value = serde_json::json!([172, 16, 1, 11]);
        ensure!(
            keys.iter().any(|key| key["src"] == client),
            "no {client}: {dumped:?}"
        );

        let listed: BTreeSet<Line> = gateway
            .flows()?
            .into_iter()
            .map(|flow| {
                (
                    flow.protocol,
                    (flow.client, flow.client_port),
                    (flow.external, flow.external_port),
                    (flow.server, flow.server_port),
                )
            })
            .collect();
        let lines = lines(&dumped)?;
        ensure!(
            lines.len() == 3 && lines == listed,
            "daemon {daemon}: {lines:?}, {listed:?}"
        );
        if daemon == "running" {
            gateway.stop()?;
        }
    }
    session.finish().map(drop)
}

#[test]
fn a_flows_counters_are_what_was_captured_xdp() -> Result<()> {
    counters_are_what_was_captured("xdp", Shape::Routed)
}

#[test]
fn a_flows_counters_are_what_was_captured_tc() -> Result<()> {
    counters_are_what_was_captured("tc", Shape::OneArm)
}

fn counters_are_what_was_captured(datapath: &str, shape: Shape) -> Result<()> {
    const OUT: [usize; 5] = [0, 1, 17, 700, 1400];
    const BACK: [usize; 3] = [3, 1200, 64];
    let (topology, gateway) = start(datapath, shape)?;
    let bind = |netns: &snat_tests::netns::Netns, port| {
        let socket = netns.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        anyhow::Ok(socket)
    };
    let client = bind(&topology.clients[0].netns, 4000)?;
    let server = bind(&topology.server.netns, 9)?;
    client.connect((topology.server.addr, 9))?;
    let inside = Capture::start(&topology.clients[0].netns, "eth0")?;
    let mut buffer = [0; 2048];
    let mut peer = None;
    for len in OUT {
        client.send(&vec![1; len])?;
        peer = Some(server.recv_from(&mut buffer).context("on the way out")?.1);
    }
    for len in BACK {
        server.send_to(&vec![2; len], peer.context("no peer")?)?;
        client.recv(&mut buffer).context("on the way in")?;
    }
    let report = inside.finish()?;
    let captured = |direction, src, dst| {
        let seen = Seen {
            protocol: 17,
            src,
            dst,
        };
        report.packets.get(&(direction, seen)).copied().unwrap_or(0)
    };
    let (me, other) = (topology.clients[0].addr, topology.server.addr);
    let flows = gateway.flows()?;
    let flow = flows
        .iter()
        .find(|flow| flow.protocol == "udp")
        .context("no UDP flow")?;
    let packets = (flow.packets_out, flow.packets_in);
    let seen = (
        captured(Direction::Out, me, other),
        captured(Direction::In, other, me),
    );
    ensure!(
        packets == seen && seen == (5, 3),
        "{packets:?} counted, {seen:?} captured"
    );
    // IP and UDP headers and payload.
    let sum = |lens: &[usize]| lens.iter().map(|len| 28 + *len as u64).sum::<u64>();
    let bytes = (flow.bytes_out, flow.bytes_in);
    ensure!(bytes == (sum(&OUT), sum(&BACK)), "{bytes:?} counted");
    Ok(())
}

fn start(datapath: &str, shape: Shape) -> Result<(Topology, Gateway)> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let gateway = Gateway::start(&topology, &format!("{prefix}map"), datapath)?;
    Ok((topology, gateway))
}

/// Elements of the map, as bpftool formats them by the map's type information.
fn dump(gateway: &Gateway) -> Result<Vec<Value>> {
    let path = gateway.pins().join("FLOWS");
    let dumped = bpftool(&["map", "dump", "pinned", path.to_str().context("path")?])?;
    let elements = dumped.as_array().context("no array")?;
    Ok(elements
        .iter()
        .map(|element| element["formatted"].clone())
        .collect())
}

fn lines(dumped: &[Value]) -> Result<BTreeSet<Line>> {
    dumped
        .iter()
        .filter(|element| element["value"]["direction"] == "Out")
        .map(|element| {
            let (key, value) = (&element["key"], &element["value"]);
            let protocol = key["protocol"].as_str().context("protocol")?;
            Ok((
                protocol.to_lowercase(),
                endpoint(&key["src"], &key["src_port"])?,
                endpoint(&value["addr"], &value["port"])?,
                endpoint(&key["dst"], &key["dst_port"])?,
            ))
        })
        .collect()
}

fn endpoint(addr: &Value, port: &Value) -> Result<(Ipv4Addr, u16)> {
    let octets: [u8; 4] = serde_json::from_value(addr.clone()).context("an address")?;
    let port = serde_json::from_value(port.clone()).context("a port")?;
    Ok((octets.into(), port))
}
