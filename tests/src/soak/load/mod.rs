//! The load: clients that come and go, and what they carry, every byte of it compared.

mod datagrams;
mod echo;
mod order;
mod patient;
mod server;
mod transfer;

use std::{
    net::Ipv4Addr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Scope},
    time::Duration,
};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use serde::Serialize;

use super::{
    ground::{CLIENTS, EXTERNALS},
    weather::Weather,
};
use crate::topology::Topology;

/// What the load has carried so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Carried {
    /// TCP transfers that came to their end, every byte right.
    pub transfers: u64,
    /// Their bytes, both ways.
    pub bytes: u64,
    /// UDP datagrams there and back.
    pub datagrams: u64,
    /// Of them in fragments.
    pub fragmented: u64,
    /// Pings answered.
    pub pings: u64,
    /// Clients' endpoints: each transfer and each series of datagrams had a new one.
    pub endpoints: u64,
    /// Exchanges given up, and connections opened anew, while a link was disturbed.
    pub excused: u64,
}

/// What all workers share.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) weather: Weather,
    stop: AtomicBool,
    close: AtomicBool,
    carried: Mutex<Carried>,
    failure: Mutex<Option<anyhow::Error>>,
    numbers: AtomicU64,
}

/// Who works, how many of each, and how long each pauses between two pieces of work at most.
const WORKERS: [(Work, usize, Duration); 5] = [
    (transfer::long, 6, Duration::from_millis(200)),
    (transfer::short, 6, Duration::from_millis(250)),
    (datagrams::whole, 4, Duration::from_millis(80)),
    (datagrams::in_fragments, 2, Duration::from_millis(150)),
    (datagrams::ping, 2, Duration::from_millis(150)),
];

type Work = fn(&Job<'_>, &mut Rng) -> Result<()>;

/// Where a piece of work takes place: the calling thread is in the client's namespace.
struct Job<'a> {
    load: &'a Load,
    server: Ipv4Addr,
    from: Ipv4Addr,
}

impl Load {
    /// Starts the servers, which serve until [`Load::close`].
    pub(super) fn serve<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        topology: &'scope Topology,
    ) -> Result<()> {
        server::start(scope, self, topology)?;
        echo::start(scope, self, topology)
    }

    /// Starts clients that go on until [`Load::stop`].
    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        topology: &'scope Topology,
        seed: u64,
    ) {
        let mut rng = Rng::with_seed(seed);
        for (work, count, pause) in WORKERS {
            for number in 0..count {
                let (rng, host) = (rng.fork(), number % 2);
                scope.spawn(move || self.work(topology, host, (work, pause), rng));
            }
        }
    }

    /// Has all that is under way brought to its end, without pauses, and nothing new begun.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the servers. No client may need them any more.
    pub(super) fn close(&self) {
        self.close.store(true, Ordering::Relaxed);
    }

    pub(super) fn carried(&self) -> Carried {
        *self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What went wrong first, if anything did.
    pub(super) fn failure(&self) -> Option<anyhow::Error> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }

    pub(super) fn has_failed(&self) -> bool {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.is_some()
    }

    fn work(&self, topology: &Topology, host: usize, job: (Work, Duration), mut rng: Rng) {
        let (work, pause) = job;
        let client = &topology.clients[host];
        let worked = client.netns.enter(|| {
            while !self.is_stopped() && !self.has_failed() {
                let job = Job {
                    load: self,
                    server: topology.server.addr,
                    from: address(host, &mut rng),
                };
                work(&job, &mut rng)?;
                self.count(|carried| carried.endpoints += 1);
                self.pause(pause.mul_f64(rng.f64()));
            }
            Ok(())
        });
        if let Err(error) = worked {
            self.fail(error);
        }
    }

    fn fail(&self, error: anyhow::Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
    }

    fn count(&self, body: impl FnOnce(&mut Carried)) {
        body(&mut self.carried.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        self.close.load(Ordering::Relaxed)
    }

    fn pause(&self, time: Duration) {
        if !self.is_stopped() {
            thread::sleep(time);
        }
    }

    /// A number that no other transfer has.
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// One of the addresses of that host.
fn address(host: usize, rng: &mut Rng) -> Ipv4Addr {
    let last = rng.u8(CLIENTS[host].clone());
    Ipv4Addr::new(172, 16, 1, last)
}

/// Fails unless a packet came from where packets must come from.
fn expect_external(seen: std::net::SocketAddr) -> Result<()> {
    let external = EXTERNALS
        .iter()
        .any(|external| seen.ip() == Ipv4Addr::from(*external));
    external
        .then_some(())
        .with_context(|| format!("it came from {seen}, which is no external address"))
}
