//! Many connections at a time, each of which must stay the same to its server and bring back what it sent.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    netns::Netns,
    traffic::{ECHO, SSH},
};

use crate::ground::Ground;

const PATIENCE: Duration = Duration::from_secs(20);

/// A TCP connection that is given back each line it sends.
pub(crate) struct Line {
    reader: BufReader<TcpStream>,
    lines: usize,
}

impl Line {
    pub(crate) fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = Self {
            reader: BufReader::new(stream),
            lines: 0,
        };
        line.talk()?;
        Ok(line)
    }

    /// A line there and back, each of another length and content.
    pub(crate) fn talk(&mut self) -> Result<()> {
        let local = self.reader.get_ref().local_addr()?;
        let fill = "0123456789abcdefghij".repeat((self.lines * 7) % 60);
        let sent = format!("{local} {} {fill}\n", self.lines);
        self.reader.get_mut().write_all(sent.as_bytes())?;
        let mut heard = String::new();
        self.reader
            .read_line(&mut heard)
            .with_context(|| format!("no answer to line {} of {local}", self.lines))?;
        ensure!(heard == sent, "{local} sent {sent:?}, got {heard:?}");
        self.lines += 1;
        Ok(())
    }
}

/// A UDP socket that is told as whom it is seen, which must never change.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    seen: Option<String>,
}

impl Datagrams {
    pub(crate) fn open(server: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut datagrams = Self { socket, seen: None };
        datagrams.talk()?;
        Ok(datagrams)
    }

    pub(crate) fn talk(&mut self) -> Result<()> {
        self.socket.send(b"who")?;
        let mut answer = [0; 64];
        let len = self.socket.recv(&mut answer).context("no answer")?;
        let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
        let seen = self.seen.get_or_insert_with(|| answer.clone());
        ensure!(*seen == answer, "seen as {seen}, then as {answer}");
        Ok(())
    }
}

/// Connections of a client that stand, and say something when they are told to.
pub(crate) struct Crowd {
    pub(crate) lines: Vec<Line>,
    pub(crate) datagrams: Vec<Datagrams>,
}

impl Crowd {
    /// Opens that many of TCP, from both clients, and of UDP.
    pub(crate) fn open(ground: &Ground, tcp: usize, udp: usize) -> Result<Self> {
        let server = ground.topology.server.addr;
        let [first, second] = &ground.topology.clients;
        let lines = |netns: &Netns, count| {
            netns.enter(|| {
                (0..count)
                    .map(|_| Line::open((server, SSH).into()))
                    .collect()
            })
        };
        let mut all: Vec<Line> = lines(&first.netns, tcp / 2)?;
        all.extend(lines(&second.netns, tcp - tcp / 2)? as Vec<Line>);
        let datagrams = first.netns.enter(|| {
            (0..udp)
                .map(|_| Datagrams::open((server, ECHO).into()))
                .collect()
        })?;
        Ok(Self {
            lines: all,
            datagrams,
        })
    }

    /// Every one says something and is answered.
    pub(crate) fn talk(&mut self) -> Result<()> {
        self.lines.iter_mut().try_for_each(Line::talk)?;
        self.datagrams.iter_mut().try_for_each(Datagrams::talk)
    }

    /// They talk without end, until [`Talking::stop`].
    pub(crate) fn keep_talking(mut self) -> Talking<Self> {
        Talking::start(move |stop| {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) || rounds == 0 {
                self.talk()?;
                rounds += 1;
            }
            Ok((self, rounds))
        })
    }
}

/// Traffic in a thread of its own.
pub(crate) struct Talking<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(T, u64)>>,
}

impl<T: Send + 'static> Talking<T> {
    pub(crate) fn start(
        body: impl FnOnce(&AtomicBool) -> Result<(T, u64)> + Send + 'static,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopping = Arc::clone(&stop);
        Self {
            stop,
            thread: std::thread::spawn(move || body(&stopping)),
        }
    }

    /// What talked, and how many rounds it made.
    pub(crate) fn stop(self) -> Result<(T, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Echo requests with one identifier, none of which may stay without an answer.
pub(crate) struct Ping(Child);

impl Ping {
    /// From the first client, for some seconds.
    pub(crate) fn start(ground: &Ground) -> Result<Self> {
        let server = ground.topology.server.addr;
        let line = format!("-i 0.05 -c 120 -q {server}");
        let mut command = ground.topology.clients[0].netns.command("ping");
        let command = command.args(line.split(' ')).stdout(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    pub(crate) fn finish(self) -> Result<()> {
        let output = self.0.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(said.contains(" 0% packet loss"), "{said}");
        Ok(())
    }
}
