//! A constant stream of UDP datagrams, counted where it is sent and where it arrives.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use socket2::SockRef;

use crate::{netns::Netns, wait};

/// Room for what a receiver that the machine holds up gets late.
const ROOM: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream under way.
#[must_use = "only finish() tells what arrived"]
pub struct Stream {
    stop: Arc<AtomicBool>,
    sent: JoinHandle<Result<u64>>,
    received: JoinHandle<Result<Received>>,
    arrived: Arc<AtomicU64>,
}

/// What the receiving side saw.
#[derive(Debug, Default)]
struct Received {
    /// Datagrams by who they came from.
    from: BTreeMap<SocketAddr, u64>,
    /// Bits of the numbers that have come.
    numbers: Vec<u64>,
    twice: u64,
    longest_gap: Duration,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Flowed {
    /// Datagrams, all of which arrived once.
    pub datagrams: u64,
    /// As whom they arrived.
    pub source: SocketAddr,
    /// Longest time without one.
    pub longest_gap: Duration,
}

/// Datagrams that never arrived.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub sent: u64,
    /// The first and the last of them.
    pub numbers: (u64, u64),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            sent,
            numbers: (first, last),
        } = self;
        write!(
            f,
            "of {sent} datagrams {count} were lost, from number {first} to {last}"
        )
    }
}

impl std::error::Error for Lost {}

impl Stream {
    /// Sends `rate` datagrams a second from one namespace to `port` of `server` in another.
    pub fn start(from: &Netns, to: &Netns, server: Ipv4Addr, port: u16, rate: u32) -> Result<Self> {
        let inbox = to.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?))?;
        inbox.set_read_timeout(Some(Duration::from_millis(100)))?;
        force_room(&inbox)?;
        let outbox = from.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
        outbox.connect(SocketAddrV4::new(server, port))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sending, receiving) = (Arc::clone(&stop), Arc::clone(&stop));
        let arrived = Arc::default();
        let counting = Arc::clone(&arrived);
        let received = thread::spawn(move || receive(&inbox, &receiving, &counting));
        let sent = thread::spawn(move || send(&outbox, rate, &sending));
        let stream = Self {
            stop,
            sent,
            received,
            arrived,
        };
        wait::until(PATIENCE, "the stream arrives", || {
            ensure!(stream.arrived() > 0, "nothing has arrived");
            Ok(())
        })?;
        Ok(stream)
    }

    /// How many have arrived so far.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Ends it; fails unless every datagram arrived once, all from one endpoint: with [`Lost`] where that is all.
    pub fn finish(self) -> Result<Flowed> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = join(self.sent)?;
        join(self.received)?.judge(sent)
    }
}

impl Received {
    fn note(&mut self, number: u64, from: SocketAddr) {
        *self.from.entry(from).or_default() += 1;
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.numbers.len() <= word {
            self.numbers.resize(word + 1, 0);
        }
        self.twice += u64::from(self.numbers[word] & bit != 0);
        self.numbers[word] |= bit;
    }

    fn judge(self, sent: u64) -> Result<Flowed> {
        let is_there = |number: &u64| {
            let word = self.numbers.get((number / 64) as usize);
            word.is_some_and(|word| word & 1 << (number % 64) != 0)
        };
        ensure!(self.from.len() == 1, "they came from {:?}", self.from);
        ensure!(self.twice == 0, "{} came twice", self.twice);
        let lost: Vec<u64> = (0..sent).filter(|number| !is_there(number)).collect();
        if let (Some(&first), Some(&last)) = (lost.first(), lost.last()) {
            let count = lost.len() as u64;
            let numbers = (first, last);
            return Err(Lost {
                count,
                sent,
                numbers,
            }
            .into());
        }
        let (source, datagrams) = self.from.into_iter().next().context("none was sent")?;
        Ok(Flowed {
            datagrams,
            source,
            longest_gap: self.longest_gap,
        })
    }
}

fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Keeps to the rate, also after it was held up: but a veth's ring has 256 places (`VETH_RING_SIZE`), and what makes up for
/// lost time must not come all at once.
fn send(socket: &UdpSocket, rate: u32, stop: &AtomicBool) -> Result<u64> {
    let most = u64::from(rate / 1000 * 2).max(1);
    let (begun, mut sent) = (Instant::now(), 0_u64);
    while !stop.load(Ordering::Relaxed) {
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        for _ in 0..due.saturating_sub(sent).min(most) {
            socket
                .send(&sent.to_be_bytes())
                .with_context(|| format!("sending datagram {sent}"))?;
            sent += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(sent)
}

/// Until the sender has stopped and nothing more has come for a while.
fn receive(socket: &UdpSocket, stop: &AtomicBool, arrived: &AtomicU64) -> Result<Received> {
    let mut received = Received::default();
    let mut last = None;
    loop {
        let mut number = [0; 8];
        match socket.recv_from(&mut number) {
            Ok((_, from)) => {
                let now = Instant::now();
                let gap = last.map_or(Duration::ZERO, |last| now - last);
                received.longest_gap = received.longest_gap.max(gap);
                last = Some(now);
                received.note(u64::from_be_bytes(number), from);
                arrived.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) if stop.load(Ordering::Relaxed) => return Ok(received),
            Err(_) => {}
        }
    }
}

/// More than the machine allows to any process; the lab is root.
fn force_room(socket: &UdpSocket) -> Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
    setsockopt(socket, RcvBufForce, &ROOM).context("room for datagrams that wait")?;
    let room = SockRef::from(socket).recv_buffer_size()?;
    ensure!(room >= ROOM, "only {room} bytes of room for datagrams");
    Ok(())
}
