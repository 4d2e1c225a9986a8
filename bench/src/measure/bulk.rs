//! Bulk TCP: how much iperf3 brings from a client to a server.
//!
//! The sender has one CPU, which by veth's ways carries the data through the gateway as well; the receiver has
//! another, and carries the acknowledgements.

use std::{
    io::{BufRead as _, BufReader},
    net::Ipv4Addr,
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    link::{offloads_off, receive_from_xdp},
    netns::output,
};

use crate::{
    bench::Bench,
    contender::Contender,
    measure::Measure,
    results::Quantity,
    stage::{GATEWAY_OUTSIDE, INSIDE, Poller, Shape, Stage},
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "bulk",
    about: "bulk TCP, with offloads and without",
    rounds: u32::MAX,
    run,
};

/// Packets of up to 64 KiB pass through the gateway, and are cut where they end.
pub(crate) const WHOLE: Quantity = Quantity {
    name: "bulk TCP, offloads on",
    unit: "Gbit/s",
    over: "streams",
};
/// Every segment is a packet.
const SEGMENTS: Quantity = Quantity {
    name: "bulk TCP, offloads off",
    unit: "Gbit/s",
    over: "streams",
};
const STREAMS: [u64; 2] = [1, 4];
const SECONDS: &str = "1";
const SERVER: &str = "198.18.0.1";
/// CPU of the client, CPU of the server.
const CPUS: &str = "0,1";
/// Every kernel has it, and it neither paces nor measures.
const CONGESTION: &str = "reno";

const XDP: Contender = Contender::Snat("xdp");
const TC: Contender = Contender::Snat("tc");

fn run(bench: &mut Bench) -> Result<()> {
    for contender in bench.in_turn(&[Contender::Routing, Contender::Masquerade, TC]) {
        measure(bench, WHOLE, contender)?;
    }
    for contender in bench.in_turn(&[Contender::Routing, Contender::Masquerade, TC, XDP]) {
        measure(bench, SEGMENTS, contender)?;
    }
    bench.results.note(
        "bulk TCP with offloads: not through XDP, which must not be given packets whose checksums and segments are still to be made".to_owned(),
    );
    Ok(())
}

fn measure(bench: &mut Bench, quantity: Quantity, contender: Contender) -> Result<()> {
    let stage = Stage::polled(Shape::Routed, Poller::Sender)?;
    if quantity == SEGMENTS {
        for port in stage.ports()? {
            offloads_off(port.netns, port.dev)?;
        }
        // Without GRO only a program lets veth take what XDP sends.
        for port in [stage.inside()?, stage.outside()?] {
            receive_from_xdp(port.netns, port.dev)?;
        }
    }
    let running = contender.start(&stage, &mut bench.traffic)?;
    let seen = if contender == Contender::Routing {
        INSIDE
    } else {
        GATEWAY_OUTSIDE
    };
    let server = Server::start(&stage)?;
    for streams in STREAMS {
        let report = transfer(&stage, quantity, streams)?;
        let rate = received(&report, streams, &Ipv4Addr::from(seen).to_string())
            .with_context(|| format!("{}, {streams} streams: {report}", contender.name()))?;
        bench
            .results
            .add(quantity, streams, contender.name(), rate / 1e9);
    }
    drop(server);
    running.stop(&stage, &mut bench.traffic)
}

/// An iperf3 that waits for clients; dropping it ends it.
struct Server(Child);

impl Server {
    fn start(stage: &Stage) -> Result<Self> {
        let mut child = stage
            .outside()?
            .netns
            .command("iperf3")
            .args(["-s", "-B", SERVER, "--forceflush"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting iperf3 (Debian's package iperf3)")?;
        let stdout = child.stdout.take();
        let server = Self(child);
        let mut lines = BufReader::new(stdout.context("no standard output")?).lines();
        let listens = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("Server listening"));
        ensure!(listens, "iperf3 -s ended, and did not listen on {SERVER}");
        // What it says later has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What the client reports, the server's report in it.
fn transfer(stage: &Stage, quantity: Quantity, streams: u64) -> Result<Value> {
    let mut client = stage.inside()?.netns.command("iperf3");
    client.args(["-c", SERVER, "-t", SECONDS, "-P", &streams.to_string()]);
    client.args(["-w", &window(quantity, streams)]);
    client.args(["-A", CPUS, "-C", CONGESTION, "--get-server-output", "-J"]);
    let text = output(&mut client)?;
    serde_json::from_str(&text).with_context(|| format!("iperf3 printed no JSON: {text}"))
}

/// Socket buffers: no more than every queue on the way has room for. Else the figure is that of TCP's recovery from
/// losses. The shortest queue is veth's for XDP: `VETH_RING_SIZE`, 256 packets.
fn window(quantity: Quantity, streams: u64) -> String {
    if quantity == SEGMENTS {
        format!("{}K", 256 / streams)
    } else {
        "1M".to_owned()
    }
}

/// Bits per second that the server received, on this many connections from `client`.
fn received(report: &Value, streams: u64, client: &str) -> Result<f64> {
    let at = |path: &str| {
        report
            .pointer(path)
            .with_context(|| format!("no {path} in iperf3's report"))
    };
    let server = at("/server_output_text")?.as_str().unwrap_or_default();
    let peers: Vec<_> = server
        .lines()
        .filter_map(|line| {
            line.split_once(" connected to ")?
                .1
                .split_whitespace()
                .next()
        })
        .collect();
    ensure!(
        peers.len() as u64 == streams && peers.iter().all(|peer| *peer == client),
        "the server was to see {streams} connections from {client}, and saw {peers:?}"
    );
    let rate = at("/end/sum_received/bits_per_second")?
        .as_f64()
        .filter(|rate| *rate > 0.0);
    rate.context("nothing was received")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::received;

    #[test]
    fn what_the_server_received_from_the_address_that_it_was_to_see() {
        let report = json!({
            "server_output_text": "[ 5] local 198.18.0.1 port 5201 connected to 203.0.113.10 port 1024\n[ ID] Interval",
            "end": { "sum_received": { "bits_per_second": 5e9 } },
        });
        let rate = |streams, client| received(&report, streams, client);
        assert_eq!(rate(1, "203.0.113.10").unwrap(), 5e9);
        assert!(rate(2, "203.0.113.10").is_err());
        assert!(rate(1, "172.16.0.2").is_err());
    }
}
