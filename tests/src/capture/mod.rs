//! What passes an interface, verified packet by packet while it passes.

mod checksum;
mod leaving;
mod socket;
mod tap;

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

pub use checksum::Seen;
pub use leaving::{Counted, Leaving};
pub use socket::Direction;
pub use tap::{Heard, Tap};

use crate::netns::Netns;
use socket::{PacketSocket, Received};

/// How long a stopped capture may take in what is queued; traffic must have ended by then.
const DRAIN: Duration = Duration::from_secs(30);

/// A running capture.
#[must_use = "a capture that is never finished shows nothing"]
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Report>>,
}

/// What a capture has seen.
#[derive(Debug, Default)]
pub struct Report {
    /// Packets by way, protocol and addresses.
    pub packets: BTreeMap<(Direction, Seen), u64>,
    /// Their bytes, IP headers included and Ethernet's not.
    pub bytes: BTreeMap<(Direction, Seen), u64>,
    /// How many packets had a fault.
    pub faults: u64,
    /// What was wrong with the first of those.
    pub first_faults: Vec<String>,
}

impl Capture {
    /// Captures on `dev` from now on.
    pub fn start(netns: &Netns, dev: &str) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, started) = mpsc::channel();
        let (dev, stopping) = (dev.to_owned(), Arc::clone(&stop));
        let thread = netns.spawn_thread(move || {
            let socket = PacketSocket::open(&dev, Duration::from_millis(20))?;
            ready.send(()).ok();
            collect(&socket, &stopping)
        });
        if started.recv().is_err() {
            let error = finish(thread).err();
            return Err(error.unwrap_or_else(|| anyhow::anyhow!("capture ended at once")));
        }
        Ok(Self { stop, thread })
    }

    /// Takes in what has passed and ends. A frame lost to a full buffer, or traffic that never pauses,
    /// is an error: then nothing is proven.
    pub fn finish(self) -> Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        finish(self.thread)
    }
}

impl Report {
    /// All packets seen.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.packets.values().sum::<u64>() + self.faults
    }

    /// Packets that passed in that direction, by source address.
    #[must_use]
    pub fn sources(&self, direction: Direction) -> BTreeMap<Ipv4Addr, u64> {
        self.addresses(direction, |seen| seen.src)
    }

    /// Packets that passed in that direction, by destination address.
    #[must_use]
    pub fn destinations(&self, direction: Direction) -> BTreeMap<Ipv4Addr, u64> {
        self.addresses(direction, |seen| seen.dst)
    }

    /// Fails unless packets were seen and all of them were sound.
    pub fn expect_sound(&self) -> Result<()> {
        ensure!(self.total() > 0, "the capture saw no packet");
        ensure!(
            self.faults == 0,
            "{} of {} packets are faulty: {:#?}",
            self.faults,
            self.total(),
            self.first_faults
        );
        Ok(())
    }

    /// Fails unless all of what came in is sound and from this one address.
    pub fn expect_only_from(&self, source: Ipv4Addr) -> Result<()> {
        self.expect_sound()?;
        let sources = self.sources(Direction::In);
        ensure!(
            sources.keys().eq([&source]),
            "not only from {source}: {:#?}",
            self.packets
        );
        Ok(())
    }

    fn addresses(
        &self,
        direction: Direction,
        which: impl Fn(&Seen) -> Ipv4Addr,
    ) -> BTreeMap<Ipv4Addr, u64> {
        let mut addresses = BTreeMap::new();
        for ((_, seen), count) in self
            .packets
            .iter()
            .filter(|((way, _), _)| *way == direction)
        {
            *addresses.entry(which(seen)).or_default() += count;
        }
        addresses
    }
}

fn collect(socket: &PacketSocket, stop: &AtomicBool) -> Result<Report> {
    let mut report = Report::default();
    let mut buffer = vec![0; 1 << 16];
    let mut stopped: Option<Instant> = None;
    loop {
        if stopped.is_none() && stop.load(Ordering::Relaxed) {
            stopped = Some(Instant::now());
        }
        match socket
            .receive(&mut buffer)
            .context("reading captured packets")?
        {
            Received::Ipv4(direction, len) => match checksum::verify(&buffer[..len]) {
                Ok(seen) => {
                    *report.packets.entry((direction, seen)).or_default() += 1;
                    *report.bytes.entry((direction, seen)).or_default() += len as u64;
                }
                Err(fault) => {
                    report.faults += 1;
                    if report.first_faults.len() < 5 {
                        report.first_faults.push(format!("{direction:?}: {fault}"));
                    }
                }
            },
            Received::Ipv6(..) | Received::Other => {}
            Received::Nothing if stopped.is_some() => break,
            Received::Nothing => {}
        }
        ensure!(
            stopped.is_none_or(|at| at.elapsed() < DRAIN),
            "the capture is still receiving {DRAIN:?} after its end: it proves nothing"
        );
    }
    let lost = socket.lost().context("reading the capture's statistics")?;
    ensure!(
        lost == 0,
        "the capture lost {lost} packets: it proves nothing"
    );
    Ok(report)
}

fn finish(thread: JoinHandle<Result<Report>>) -> Result<Report> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
