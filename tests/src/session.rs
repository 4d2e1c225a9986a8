//! A long-lived interactive TCP connection, as ssh would be, and the service at its other end.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use socket2::SockRef;

use crate::netns::Netns;

const PATIENCE: Duration = Duration::from_secs(5);

/// A TCP service that sends every line back.
pub struct LineServer {
    listener: TcpListener,
}

impl LineServer {
    /// Listens on `port` of all IPv4 addresses in the namespace.
    pub fn start(netns: &Netns, port: u16) -> Result<Self> {
        Self::start_at(netns, (Ipv4Addr::UNSPECIFIED, port).into())
    }

    /// As [`LineServer::start`], of all IPv6 addresses as well.
    pub fn start_dual(netns: &Netns, port: u16) -> Result<Self> {
        Self::start_at(netns, (Ipv6Addr::UNSPECIFIED, port).into())
    }

    fn start_at(netns: &Netns, addr: SocketAddr) -> Result<Self> {
        let listener = netns.enter(|| {
            TcpListener::bind(addr)
                .with_context(|| format!("listening on {addr} in {}", netns.name()))
        })?;
        let accepting = listener.try_clone()?;
        thread::spawn(move || {
            for stream in accepting.incoming().map_while(Result::ok) {
                thread::spawn(move || send_back(&stream));
            }
        });
        Ok(Self { listener })
    }
}

impl Drop for LineServer {
    fn drop(&mut self) {
        // Wakes the accepting thread, which then lets go of the namespace.
        SockRef::from(&self.listener).shutdown(Shutdown::Both).ok();
    }
}

fn send_back(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        stream.write_all(line.as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// A long-lived interactive connection to a [`LineServer`]: a line there and back, again and again.
#[must_use = "only finish() tells whether the session lived"]
pub struct Session {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Talked>>,
}

/// What became of a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Talked {
    /// Lines that went there and back.
    pub lines: u64,
    /// The longest time that one of them took.
    pub longest: Duration,
}

impl Session {
    /// Connects and starts talking.
    pub fn open(netns: &Netns, server: impl Into<SocketAddr>) -> Result<Self> {
        let server = server.into();
        let context = format!("session from {} to {server}", netns.name());
        let stream = netns
            .enter(|| Ok(TcpStream::connect_timeout(&server, PATIENCE)?))
            .with_context(|| context.clone())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = thread::spawn(move || talk(&stream, &stopping).context(context));
        Ok(Self { stop, thread })
    }

    /// Ends the session and returns how many lines went there and back.
    pub fn finish(self) -> Result<u64> {
        Ok(self.talked()?.lines)
    }

    /// As [`Session::finish`], and says how long it was held up.
    pub fn talked(self) -> Result<Talked> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn talk(mut stream: &TcpStream, stop: &AtomicBool) -> Result<Talked> {
    let mut reader = BufReader::new(stream);
    let mut talked = Talked::default();
    loop {
        let begin = Instant::now();
        let line = format!("line {}\n", talked.lines);
        stream.write_all(line.as_bytes()).context("sending")?;
        let mut answer = String::new();
        match reader
            .read_line(&mut answer)
            .with_context(|| format!("no answer to {}", line.trim()))?
        {
            0 => bail!("closed by the other side after {} lines", talked.lines),
            _ => ensure!(answer == line, "sent {line:?}, got {answer:?}"),
        }
        talked.lines += 1;
        talked.longest = talked.longest.max(begin.elapsed());
        if stop.load(Ordering::Relaxed) {
            return Ok(talked);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
