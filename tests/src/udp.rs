//! UDP echo that says who its peer is.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::netns::Netns;

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers every datagram with the address and port it came from, a space, and the datagram.
pub struct UdpEcho {
    stop: Arc<AtomicBool>,
}

impl UdpEcho {
    /// Listens on `port` of all IPv4 addresses in the namespace.
    pub fn start(netns: &Netns, port: u16) -> Result<Self> {
        Self::start_at(netns, (Ipv4Addr::UNSPECIFIED, port).into())
    }

    /// As [`UdpEcho::start`], of all IPv6 addresses as well.
    pub fn start_dual(netns: &Netns, port: u16) -> Result<Self> {
        Self::start_at(netns, (Ipv6Addr::UNSPECIFIED, port).into())
    }

    fn start_at(netns: &Netns, addr: SocketAddr) -> Result<Self> {
        let socket = netns.enter(|| Ok(UdpSocket::bind(addr)?))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopping.load(Ordering::Relaxed) {
                let Ok((len, peer)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let seen = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let answer = [format!("{seen} ").as_bytes(), &buffer[..len]].concat();
                socket.send_to(&answer, peer).ok();
            }
        });
        Ok(Self { stop })
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Exchanges `count` datagrams with a [`UdpEcho`] from a local port (0: any) and returns who the
/// server said we are, which must stay the same.
pub fn exchange(
    netns: &Netns,
    server: SocketAddrV4,
    local_port: u16,
    count: u32,
) -> Result<SocketAddr> {
    let run = || -> Result<SocketAddr> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, local_port)).context("binding")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut seen = None;
        for number in 0..count {
            // From nothing up to a full packet, odd lengths too: checksums differ in all of these.
            let payload = "x".repeat((number as usize * 97) % 1400);
            socket.send(payload.as_bytes()).context("sending")?;
            let mut answer = [0; 2048];
            let len = socket
                .recv(&mut answer)
                .with_context(|| format!("no answer to datagram {number}"))?;
            let answer = String::from_utf8_lossy(&answer[..len]);
            let (peer, echoed) = answer
                .split_once(' ')
                .context("answer without an address")?;
            ensure!(echoed == payload, "datagram {number} came back changed");
            let peer = peer.parse()?;
            ensure!(
                *seen.get_or_insert(peer) == peer,
                "our address changed from {seen:?} to {peer}"
            );
        }
        seen.context("no datagram was to be sent")
    };
    netns.enter(|| run().with_context(|| format!("UDP from {} to {server}", netns.name())))
}
