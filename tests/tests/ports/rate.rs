//! Connections one after the other, as fast as this machine goes, to one server's port.

use std::{
    net::{Ipv4Addr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{scene::Plan, traffic::HTTP};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::ground::at;

const THREADS: usize = 4;
/// Of the 30,000 ports; none of them rests long enough to be used again.
const CONNECTIONS: usize = 20_000;

#[test]
fn no_connection_is_refused_at_thousands_a_second_while_ports_are_free_xdp() -> Result<()> {
    none_is_refused("xdp", "auto")
}

#[test]
fn no_connection_is_refused_at_thousands_a_second_while_ports_are_free_tc() -> Result<()> {
    none_is_refused("tc", "address-and-port-dependent")
}

fn none_is_refused(datapath: &str, mapping: &str) -> Result<()> {
    let scene = Plan {
        entry: &format!("mapping = {mapping:?}\nports = \"1024-31023\""),
        ..Plan::routed(datapath)
    }
    .start()?;
    let clients = scene.more_clients(100..120)?;
    let server = &scene.topology.server;
    let listener = server.netns.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&at(Ipv4Addr::UNSPECIFIED, HTTP).into())?;
        socket.listen(4096)?;
        Ok(TcpListener::from(socket))
    })?;
    let waking = listener.try_clone()?;
    let serving = thread::spawn(move || {
        let accepted = listener.incoming().map_while(Result::ok);
        accepted.map(drop).count()
    });
    let to = at(server.addr, HTTP);
    let begun = Instant::now();
    scene.topology.clients[0].netns.enter(|| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let clients = &clients;
                    let netns = &scene.topology.clients[0].netns;
                    scope.spawn(move || {
                        netns.enter(|| {
                            for turn in 0..CONNECTIONS / THREADS {
                                let from = clients[(turn * THREADS + number) % clients.len()];
                                let socket =
                                    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
                                socket.bind(&at(from, 0).into())?;
                                // Every second ends with RST, the others with FIN.
                                if turn % 2 == 0 {
                                    socket.set_linger(Some(Duration::ZERO))?;
                                }
                                socket
                                    .connect_timeout(&to.into(), Duration::from_secs(10))
                                    .with_context(|| {
                                        format!("connection {turn} of thread {number}")
                                    })?;
                            }
                            Ok(())
                        })
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })
    })?;
    let rate = CONNECTIONS as f64 / begun.elapsed().as_secs_f64();
    eprintln!("{datapath}, {mapping}: {CONNECTIONS} connections to one port, {rate:.0} a second");
    SockRef::from(&waking).shutdown(std::net::Shutdown::Both)?;
    serving.join().ok();
    let status = scene.gateway.ctl_json(&["status"])?;
    for verdict in [
        "ports_exhausted",
        "table_full",
        "share_limit",
        "flow_vanishing",
    ] {
        let refused = &status["verdicts"][verdict]["packets"];
        ensure!(*refused == 0, "{refused} were {verdict}");
    }
    let used = status["flows"]["used"].as_u64().context("no flows")?;
    // A client that comes by a port that it has used before has the flow of that time.
    ensure!(used > CONNECTIONS as u64 * 9 / 10, "{used} flows");
    Ok(())
}
