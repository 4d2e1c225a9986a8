//! Without weights: what leaves as eth1's leaves by eth1, though the default route is eth0's.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Capture, Direction},
    scene::{Plan, Scene},
    topology::two_enis::ETH1,
    traffic::ECHO,
};

use crate::gateway::{Gateway, enis, plan};

#[test]
fn an_external_address_of_eth1_leaves_by_eth1_from_the_first_packet_on_xdp() -> Result<()> {
    leaves_by_eth1("xdp")
}

#[test]
fn an_external_address_of_eth1_leaves_by_eth1_from_the_first_packet_on_tc() -> Result<()> {
    leaves_by_eth1("tc")
}

fn leaves_by_eth1(datapath: &str) -> Result<()> {
    let enis = enis(Default::default());
    let external = format!("[\"{ETH1}\"]");
    let mut gateway = Gateway::start(&Plan {
        external: &external,
        sections: &enis,
        ..plan(datapath)
    })?;
    gateway.take_down()?;
    let scene = &mut gateway.clients.scene;

    let isp = &scene.topology.fabric[1];
    let wires = [Capture::start(isp, "gw0")?, Capture::start(isp, "gw1")?];
    let sender = Sender::start(scene);
    scene.gateway.start_again()?;
    let seen = gateway.clients.ask(10_000..10_100)?;
    ensure!(
        seen.values().all(|external| *external.ip() == ETH1),
        "{seen:?}"
    );
    sender.finish()?;

    let [by_eth0, by_eth1] = wires.map(Capture::finish);
    // Before there was a gateway, clients were forwarded as they are.
    let by_eth0 = by_eth0?.sources(Direction::In);
    ensure!(!by_eth0.contains_key(&ETH1), "by eth0: {by_eth0:?}");
    by_eth1?.expect_only_from(ETH1)
}

/// A client that begins one flow after the other.
struct Sender {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Sender {
    fn start(scene: &Scene) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let server = scene.topology.server.addr;
        let thread = scene.topology.clients[1].netns.spawn_thread(move || {
            while !stopping.load(Ordering::Relaxed) {
                UdpSocket::bind("0.0.0.0:0")?.send_to(b"a new flow", (server, ECHO))?;
                thread::sleep(Duration::from_micros(200));
            }
            Ok(())
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    fn finish(mut self) -> Result<()> {
        let ended = self.end().context("it has ended already")?;
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn end(&mut self) -> Option<thread::Result<Result<()>>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // The namespace can be removed only without it.
        let _ = self.end();
    }
}
