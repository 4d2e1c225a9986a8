//! Connections per second over real sockets, all to one address and port.
//!
//! Each is opened by `connect()` and ended by the client with an RST (`SO_LINGER` of 0), so that no socket stays behind
//! in TIME_WAIT. Of three handshake segments and one RST every path carries the same. On each CPU a thread opens and another
//! accepts: most of the time is the sockets', and what is between them is a part of it.
//!
//! XDP can't see that a checksum is only begun, so the ends finish theirs, for all contenders alike.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread::{scope, yield_now},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
    },
};
use snat_common::load::{CLIENTS, FIRST_CLIENT, FIRST_SERVER, SERVER_PORT};

use crate::{
    bench::Bench,
    contender::Contender,
    measure::Measure,
    results::Quantity,
    stage::{Shape, Stage},
    sys,
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "connect_rate",
    about: "TCP connections per second to one address and port",
    rounds: u32::MAX,
    run,
};

/// Connections, opened and reset.
pub(crate) const RATE: Quantity = Quantity {
    name: "TCP connections to one address and port",
    unit: "connections/s",
    over: "",
};

const CONTENDERS: [Contender; 4] = [
    Contender::Routing,
    Contender::Masquerade,
    Contender::Snat("xdp"),
    Contender::Snat("tc"),
];
const CONNECTIONS: u32 = 20_000;
const QUICK: u32 = 2_000;
/// Connections that may wait to be accepted, fewer than the listener has room for: beyond that a SYN is lost, and comes
/// again a second later.
const WAITING: u32 = 64;
/// A connection that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections that a thread has open at a time. An RST sent at once, by another CPU, may overtake the ACK before it.
const OPEN: usize = 16;

fn run(bench: &mut Bench) -> Result<()> {
    let count = if bench.options.quick {
        QUICK
    } else {
        CONNECTIONS
    };
    for contender in bench.in_turn(&CONTENDERS) {
        let stage = Stage::on_one_cpu(Shape::Routed)?;
        for port in [stage.inside()?, stage.outside()?] {
            port.netns.run(&format!("ethtool -K {} tx off", port.dev))?;
        }
        let running = contender.start(&stage, &mut bench.traffic)?;
        let expected = (contender != Contender::Routing).then_some(Ipv4Addr::new(203, 0, 113, 10));
        let rate = measure(&stage, count, expected)
            .with_context(|| format!("connecting through {}", contender.name()))?;
        if let Some(known) = running.flows(&stage)? {
            ensure!(
                known >= u64::from(count),
                "{}: {known} flows after {count} connections",
                contender.name()
            );
        }
        bench.results.add(RATE, 0, contender.name(), rate);
        running.stop(&stage, &mut bench.traffic)?;
    }
    Ok(())
}

/// How far it is.
#[derive(Default)]
struct Progress {
    opened: AtomicU32,
    accepted: AtomicU32,
    over: AtomicBool,
}

/// Opens so many, and looks at who each came from.
fn measure(stage: &Stage, count: u32, expected: Option<Ipv4Addr>) -> Result<f64> {
    let server = SocketAddrV4::new(FIRST_SERVER.into(), SERVER_PORT);
    let listener = stage.outside()?.netns.enter(|| {
        let listener =
            TcpListener::bind(server).with_context(|| format!("listening on {server}"))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    })?;
    let clients = stage.inside()?.netns;
    let (cpus, progress) = (sys::cpus()?, Progress::default());
    scope(|scope| {
        let spawn_accept = |cpu| {
            let (listener, progress) = (&listener, &progress);
            scope.spawn(move || accept(cpu, listener, progress, expected))
        };
        let accepting: Vec<_> = (0..cpus).map(spawn_accept).collect();
        let begin = Instant::now();
        let spawn_open = |cpu| {
            let progress = &progress;
            scope.spawn(move || clients.enter(|| open(cpu, server, count, progress)))
        };
        let opening: Vec<_> = (0..cpus).map(spawn_open).collect();
        let opened: Vec<_> = opening.into_iter().map(joined).collect();
        let all = || progress.accepted.load(Relaxed) >= count;
        while opened.iter().all(Result::is_ok) && !all() && begin.elapsed() < PATIENCE {
            yield_now();
        }
        let took = begin.elapsed();
        progress.over.store(true, Relaxed);
        accepting.into_iter().try_for_each(joined)?;
        opened.into_iter().collect::<Result<Vec<_>>>()?;
        let accepted = progress.accepted.load(Relaxed);
        ensure!(
            accepted == count,
            "{accepted} of {count} connections were accepted"
        );
        Ok(f64::from(count) / took.as_secs_f64())
    })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Opens connections, each from another client, until there are enough, and ends them; the last ones are handed over.
fn open(
    cpu: usize,
    server: SocketAddrV4,
    count: u32,
    progress: &Progress,
) -> Result<VecDeque<OwnedFd>> {
    sys::enter_cpu(cpu)?;
    let begin = Instant::now();
    let mut open = VecDeque::with_capacity(OPEN);
    loop {
        let number = progress.opened.fetch_add(1, Relaxed);
        if number >= count {
            return Ok(open);
        }
        while number > progress.accepted.load(Relaxed) + WAITING {
            ensure!(begin.elapsed() < PATIENCE, "connections are not accepted");
            yield_now();
        }
        let client = Ipv4Addr::from(FIRST_CLIENT + number % CLIENTS);
        if open.len() == OPEN {
            open.pop_front();
        }
        let connection = connect_from(client, server)
            .with_context(|| format!("connecting {client} to {server}"))?;
        open.push_back(connection);
    }
}

fn connect_from(client: Ipv4Addr, server: SocketAddrV4) -> Result<OwnedFd> {
    let tcp = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let reset = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&tcp, sockopt::Linger, &reset)?;
    // The port is chosen by connect(), which knows the server.
    setsockopt(&tcp, sockopt::IpBindAddressNoPort, &true)?;
    bind(
        tcp.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(client, 0)),
    )?;
    connect(tcp.as_raw_fd(), &SockaddrIn::from(server))?;
    Ok(tcp)
}

/// Accepts until it is over. Every connection must come from the address expected.
fn accept(
    cpu: usize,
    listener: &TcpListener,
    progress: &Progress,
    expected: Option<Ipv4Addr>,
) -> Result<()> {
    sys::enter_cpu(cpu)?;
    while !progress.over.load(Relaxed) {
        match listener.accept() {
            Ok((_, from)) => {
                ensure!(
                    expected.is_none_or(|expected| from.ip() == expected),
                    "a connection came from {from}, not from {expected:?}"
                );
                progress.accepted.fetch_add(1, Relaxed);
            }
            Err(error) if error.raw_os_error() == Some(Errno::EAGAIN as i32) => yield_now(),
            Err(error) => return Err(error).context("accepting connections"),
        }
    }
    Ok(())
}
