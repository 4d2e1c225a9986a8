//! A server that tells everybody who he is, and connections that ask it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use socket2::SockRef;

use crate::netns::Netns;

const PATIENCE: Duration = Duration::from_secs(10);
const THREADS: u32 = 4;

/// How many, by source address as the server saw it.
pub type Counts = BTreeMap<IpAddr, u64>;

/// A TCP service that answers each line with the peer's address.
#[derive(Debug)]
pub struct WhoServer {
    listener: TcpListener,
}

impl WhoServer {
    /// Listens on `port` of all IPv4 and IPv6 addresses in the namespace.
    pub fn start(netns: &Netns, port: u16) -> Result<Self> {
        let listener = netns.enter(|| Ok(TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?))?;
        let accepting = listener.try_clone()?;
        thread::spawn(move || {
            for stream in accepting.incoming().map_while(Result::ok) {
                thread::spawn(move || tell(&stream));
            }
        });
        Ok(Self { listener })
    }
}

impl Drop for WhoServer {
    fn drop(&mut self) {
        // Wakes the accepting thread, which then lets go of the namespace.
        SockRef::from(&self.listener).shutdown(Shutdown::Both).ok();
    }
}

fn tell(mut stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let answer = format!("{}\n", stream.peer_addr()?.ip().to_canonical());
    for line in BufReader::new(stream).lines() {
        line?;
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// A connection to a [`WhoServer`] that asks again and again who it is.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects, from the thread's namespace.
    pub fn connect(server: SocketAddr) -> Result<Self> {
        Self::connect_within(PATIENCE, server)
    }

    /// As [`Client::connect`], with so much time for that and for each answer.
    pub fn connect_within(patience: Duration, server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, patience)
            .with_context(|| format!("connecting to {server}"))?;
        let client = Self::new(stream)?;
        client.0.get_ref().set_read_timeout(Some(patience))?;
        Ok(client)
    }

    /// Takes a connection that is there.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // An RST when it is closed: no port waits for stragglers.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The address that the server sees.
    pub fn ask(&mut self) -> Result<IpAddr> {
        self.say()?;
        self.hear()
    }

    /// Asks, and waits for no answer.
    pub fn say(&mut self) -> Result<()> {
        Ok(self.0.get_mut().write_all(b"?\n")?)
    }

    /// The answer to what was asked.
    pub fn hear(&mut self) -> Result<IpAddr> {
        let mut answer = String::new();
        self.0.read_line(&mut answer).context("no answer")?;
        Ok(answer.trim().parse()?)
    }

    /// Whether an answer is there.
    pub fn has_answer(&self) -> Result<bool> {
        self.0.get_ref().set_nonblocking(true)?;
        let peeked = self.0.get_ref().peek(&mut [0]);
        self.0.get_ref().set_nonblocking(false)?;
        Ok(peeked.is_ok())
    }
}

/// Opens `count` connections, each of four threads one after the other, and closes each after it was told who it is.
pub fn connections(netns: &Netns, server: SocketAddr, count: u32) -> Result<Counts> {
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            netns.spawn_thread(move || -> Result<Counts> {
                let mut counts = Counts::new();
                for _ in 0..count / THREADS {
                    *counts.entry(Client::connect(server)?.ask()?).or_default() += 1;
                }
                Ok(counts)
            })
        })
        .collect();
    let mut counts = Counts::new();
    for thread in threads {
        let part = thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        for (source, count) in part {
            *counts.entry(source).or_default() += count;
        }
    }
    Ok(counts)
}

/// Fails unless `source` has that share of all, in hundredths, within some points.
pub fn expect_share(counts: &Counts, source: IpAddr, percent: f64, points: f64) -> Result<()> {
    let all: u64 = counts.values().sum();
    let own = counts.get(&source).copied().unwrap_or_default();
    let share = own as f64 * 100.0 / all as f64;
    println!("{source} has {share:.2} % of {all}, {percent} % wanted");
    ensure!(
        (share - percent).abs() <= points,
        "{source} has {share:.1} % instead of {percent} %: {counts:?}"
    );
    Ok(())
}
