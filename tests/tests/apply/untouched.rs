//! Whatever changes: what is still allowed does not notice.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Capture, Direction},
    http::HttpServer,
    scene::Scene,
    session::{LineServer, Session},
    topology::Host,
    traffic::{self, HTTP, SSH},
    wait,
};

use crate::ground::{
    FIRST, PATIENCE, SECOND, SERVER, change, connection, datapaths, listen, speaks, two_addresses,
};

const STREAM: u16 = 7001;
/// Added on the way.
const THIRD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 12);

datapaths! {
    what_is_allowed_lives_through_every_change_xdp: lives_through, "xdp";
    what_is_allowed_lives_through_every_change_tc: lives_through, "tc";
}

fn lives_through(datapath: &str) -> Result<()> {
    let scene = two_addresses(datapath).start()?;
    let server = &scene.topology.server;
    let _http = HttpServer::start(&server.netns, HTTP)?;
    let _lines = LineServer::start(&server.netns, SSH)?;
    let listener = listen(&scene, 5001)?;
    // Slow enough that a download spans several changes.
    server
        .netns
        .run("tc qdisc add dev eth0 root tbf rate 200mbit burst 256kb latency 100ms")?;
    let [client, other] = &scene.topology.clients;
    let session = Session::open(&other.netns, SocketAddrV4::new(server.addr, SSH))?;
    let mut idle = connection(&scene, &listener, client.addr)?;
    let outside = Capture::start(&server.netns, "eth0")?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let downloads = scope.spawn(|| -> Result<()> {
            while !done.load(Ordering::Relaxed) {
                traffic::download(client, server)?;
            }
            Ok(())
        });
        let stream = scope.spawn(|| stream(client, server, &done));
        let changed = every_change(&scene, datapath);
        done.store(true, Ordering::Relaxed);
        let joined = |result: thread::Result<Result<()>>| {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        changed
            .and(joined(stream.join()).context("the UDP stream"))
            .and(joined(downloads.join()).context("the downloads"))
    })?;
    session.finish().context("the busy session")?;
    speaks(&mut idle).context("the idle connection")?;
    let seen = outside.finish()?;
    seen.expect_sound()?;
    let sources = seen.sources(Direction::In);
    ensure!(
        sources
            .keys()
            .all(|source| [FIRST, SECOND, THIRD].contains(source)),
        "{sources:?}"
    );
    Ok(())
}

/// One after the other, each with none of those flows ended.
fn every_change(scene: &Scene, datapath: &str) -> Result<()> {
    let more = "\n[[forward]]\nprotocol = \"tcp\"\nexternal = \"203.0.113.10:8443\"\ninternal = \"172.16.1.11:443\"\n";
    let another = if datapath == "tc" { "xdp" } else { "tc" };
    let datapaths = [
        format!("datapath   = \"{datapath}\""),
        format!("datapath   = \"{another}\""),
    ];
    let steps = [
        ("tcp_closing = \"2s\"", "tcp_closing = \"2s\"\nudp = \"2m\""),
        (
            "[timeouts]",
            "[limits]\nflows_per_source = 5000\n\n[timeouts]",
        ),
        ("flows_per_source = 5000", "flows_per_source = 0"),
        (
            "[[bypass]]",
            "mapping = \"address-and-port-dependent\"\n\n[[bypass]]",
        ),
        (
            "mapping = \"address-and-port-dependent\"",
            "filtering = \"endpoint-independent\"",
        ),
        ("\"203.0.113.11\"]", "\"203.0.113.11\", \"203.0.113.12\"]"),
        ("destination = [", "destination = [\"192.0.2.0/24\", "),
        (
            "[timeouts]",
            "[answers]\nreset = [\"clients\", \"servers\"]\n\n[timeouts]",
        ),
        (
            "[[snat]]",
            "[[snat]]\nname = \"web\"\nsource = [\"172.18.0.0/16\"]\nports = \"2000-2999\"\n\n[[snat]]",
        ),
        ("2000-2999", "3000-3999"),
        (
            "[limits]",
            "[metrics]\nlisten = \"127.0.0.1:9469\"\n\n[limits]",
        ),
        (&datapaths[0], &datapaths[1]),
        (&datapaths[1], &datapaths[0]),
    ];
    for (from, to) in steps {
        let ended = change(scene, from, to)?;
        ensure!(ended == 0, "{from} -> {to}: {ended} flows were ended");
    }
    let with = crate::ground::text(scene)? + more;
    crate::ground::write(scene, &with)?;
    crate::ground::apply(scene)?;
    ensure!(change(scene, more, "")? == 0);
    Ok(())
}

/// A datagram every half millisecond, by one socket: each must arrive, and from one endpoint.
fn stream(client: &Host, server: &Host, done: &AtomicBool) -> Result<()> {
    let sink = server
        .netns
        .enter(|| Ok(UdpSocket::bind((SERVER, STREAM))?))?;
    socket2::SockRef::from(&sink).set_recv_buffer_size(8 << 20)?;
    sink.set_read_timeout(Some(Duration::from_millis(100)))?;
    let from = client
        .netns
        .enter(|| Ok(UdpSocket::bind((client.addr, 0))?))?;
    from.connect((SERVER, STREAM))?;
    let (arrived, sent) = (AtomicU64::new(0), AtomicU64::new(0));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| -> Result<()> {
            let mut peer = None;
            while !over.load(Ordering::Relaxed) {
                let Ok((len, from)) = sink.recv_from(&mut [0; 64]) else {
                    continue;
                };
                ensure!(len == 8, "{len} bytes");
                ensure!(*peer.get_or_insert(from) == from, "{peer:?} became {from}");
                arrived.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        while !done.load(Ordering::Relaxed) {
            from.send(&sent.load(Ordering::Relaxed).to_be_bytes())?;
            sent.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_micros(500));
        }
        let all = wait::until(PATIENCE, "every datagram arrives", || {
            let (arrived, sent) = (
                arrived.load(Ordering::Relaxed),
                sent.load(Ordering::Relaxed),
            );
            ensure!(arrived == sent, "{arrived} of {sent}");
            Ok(())
        });
        over.store(true, Ordering::Relaxed);
        let read = reader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        read.and(all)
    })
}
