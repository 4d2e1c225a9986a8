//! Programs that know nothing of policy routes and go on sending from eth1's addresses, whatever happens to it.

use std::{
    net::{IpAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    topology::enis::{ETH1, Eni, Enis, SERVER, SERVER6},
    traffic::ECHO,
    wait,
};

const WAYS: [(IpAddr, IpAddr); 2] = [
    (IpAddr::V4(ETH1.addr), IpAddr::V4(SERVER)),
    (IpAddr::V6(ETH1.addr6), IpAddr::V6(SERVER6)),
];

/// Sends from sockets that stay connected, and from new ones each time, until it is dropped.
pub(crate) struct Speaker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Speaker {
    /// Begins.
    pub(crate) fn start(enis: &Enis) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopping = Arc::clone(&stop);
        let speak = move || {
            let stay = WAYS.map(connect);
            while !stopping.load(Ordering::Relaxed) {
                for socket in stay.iter().flatten() {
                    // It may be refused: then nothing has left.
                    let _ = socket.send(b"an old one");
                }
                for socket in WAYS.into_iter().filter_map(|way| connect(way).ok()) {
                    let _ = socket.send(b"a new one");
                }
                thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        };
        Self {
            stop,
            thread: Some(enis.vm.spawn_thread(speak)),
        }
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The namespace can be removed only without it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Fails unless what it sends, IPv4 and IPv6, leaves by this interface.
pub(crate) fn is_heard_by(enis: &Enis, eni: Eni) -> Result<()> {
    let leaving = enis.leaving(&[eni])?;
    wait::until(
        Duration::from_secs(3),
        "packets from eth1's sources",
        || {
            let counted = leaving.count()?;
            for (source, _) in WAYS {
                let by = (eni.dev, source);
                ensure!(counted.contains_key(&by), "none is {by:?}: {counted:?}");
            }
            Ok(())
        },
    )
}

fn connect((from, to): (IpAddr, IpAddr)) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((from, 0)).context("binding")?;
    socket.connect((to, ECHO)).context("connecting")?;
    Ok(socket)
}
