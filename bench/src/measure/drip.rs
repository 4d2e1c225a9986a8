//! Small datagrams at short intervals, and what a server sees of them.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    stage::{GATEWAY_OUTSIDE, INSIDE, Stage},
    sys,
};

/// From one to the next.
pub(crate) const EACH: Duration = Duration::from_micros(100);

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 18, 0, 1), 4434);

/// Both ends.
pub(crate) struct Drip {
    client: UdpSocket,
    server: UdpSocket,
}

/// What the server has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// When the first translated packet arrived.
    pub(crate) translated: Option<Instant>,
    /// Packets sent since then, that one included.
    pub(crate) sent_since: u64,
    /// Of those, the ones that arrived translated.
    pub(crate) translated_since: u64,
}

impl Drip {
    /// Opens the sockets. XDP can't see that a socket has left a checksum to be done: none does.
    pub(crate) fn open(stage: &Stage) -> Result<Self> {
        let (inside, outside) = (stage.inside()?, stage.outside()?);
        inside
            .netns
            .run(&format!("ethtool -K {} tx off", inside.dev))?;
        let client = inside.netns.enter(|| {
            let socket = UdpSocket::bind((Ipv4Addr::from(INSIDE), 0))?;
            socket.connect(SERVER)?;
            Ok(socket)
        })?;
        let server = outside.netns.enter(|| Ok(UdpSocket::bind(SERVER)?))?;
        server.set_nonblocking(true)?;
        Ok(Self { client, server })
    }

    /// Sends while `body` runs, on the CPU of the packets.
    pub(crate) fn during<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<(T, Seen)> {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                sys::enter_busy_cpu()?;
                self.send(&stop)
            });
            let end = body();
            stop.store(true, Ordering::Relaxed);
            let seen = sending
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((end?, seen?))
        })
    }

    fn send(&self, stop: &AtomicBool) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut first = 0;
        for number in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                seen.sent_since = number - first;
                break;
            }
            // Until the gateway is ready there may be no way at all.
            self.client.send(&number.to_be_bytes()).ok();
            thread::sleep(EACH);
            self.receive(&mut seen, &mut first)?;
        }
        Ok(seen)
    }

    /// What has come. A packet is there as soon as it is sent: whoever sends it carries it all the way.
    fn receive(&self, seen: &mut Seen, first: &mut u64) -> Result<()> {
        let mut number = [0; 8];
        while let Ok((_, peer)) = self.server.recv_from(&mut number) {
            if peer.ip() != Ipv4Addr::from(GATEWAY_OUTSIDE) {
                continue;
            }
            if seen.translated.is_none() {
                *first = u64::from_be_bytes(number);
                seen.translated = Some(Instant::now());
            }
            seen.translated_since += 1;
        }
        self.server
            .take_error()?
            .map_or(Ok(()), Err)
            .context("receiving")
    }
}
