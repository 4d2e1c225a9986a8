//! UDP datagrams at a steady pace, each of them counted on both sides.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use snat_tests::netns::Netns;

const PACE: Duration = Duration::from_millis(1);
/// How long an answer may be under way at the end.
const LAST: Duration = Duration::from_secs(2);

/// Datagrams to an echo ([`snat_tests::udp::UdpEcho`]), until it is finished.
pub(super) struct Stream {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Counted>>,
}

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Sent by the client.
    pub(super) sent: u64,
    /// Answered by the server, and received by the client.
    pub(super) answered: u64,
    /// As whom the server saw the client.
    pub(super) seen_as: BTreeSet<String>,
}

impl Stream {
    /// Begins.
    pub(super) fn start(client: &Netns, server: SocketAddrV4) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = client.spawn_thread(move || flow(server, &stopping));
        Self { stop, thread }
    }

    /// Ends it.
    pub(super) fn finish(self) -> Result<Counted> {
        self.stop.store(true, Ordering::Relaxed);
        let counted = self.thread.join();
        counted.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn flow(server: SocketAddrV4, stop: &AtomicBool) -> Result<Counted> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("binding")?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    let mut counted = Counted::default();
    while !stop.load(Ordering::Relaxed) {
        socket.send(b"still there?").context("sending")?;
        counted.sent += 1;
        counted.receive(&socket)?;
        thread::sleep(PACE);
    }
    let end = Instant::now() + LAST;
    while counted.answered < counted.sent && Instant::now() < end {
        counted.receive(&socket)?;
        thread::sleep(PACE);
    }
    Ok(counted)
}

impl Counted {
    fn receive(&mut self, socket: &UdpSocket) -> Result<()> {
        let mut answer = [0; 64];
        loop {
            let len = match socket.recv(&mut answer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("receiving"),
            };
            let text = String::from_utf8_lossy(&answer[..len]);
            let (seen, _) = text
                .split_once(' ')
                .context("an answer without an address")?;
            self.answered += 1;
            if !self.seen_as.contains(seen) {
                self.seen_as.insert(seen.to_owned());
            }
        }
    }
}
