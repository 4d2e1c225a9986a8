//! `snat-ctl top` on a terminal: what it shows is what happens, and the terminal is as it was when it ends.

mod keys;
mod life;
mod once;
mod terminal;
mod views;

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use snat_tests::{
    scene::{Plan, Scene},
    topology::Host,
    udp::UdpEcho,
};
use terminal::Terminal;

const ECHO: u16 = 7;
const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 50);
/// Bytes of a datagram that a [`Talk`] sends, and how many in a second: with headers 411 kbit/s.
const PAYLOAD: usize = 1000;
const A_SECOND: u32 = 50;

/// A gateway whose first client talks all the time.
struct Busy {
    scene: Scene,
    _echo: UdpEcho,
    _talk: Talk,
}

impl Busy {
    fn start() -> Result<Self> {
        let scene = Plan::routed("tc").start()?;
        let [client, _] = &scene.topology.clients;
        let server = &scene.topology.server;
        Ok(Self {
            _echo: UdpEcho::start(&server.netns, ECHO)?,
            _talk: Talk::start(client, server.addr)?,
            scene,
        })
    }

    fn top(&self, arguments: &[&str], size: (u16, u16)) -> Result<Terminal> {
        let top = [&["top", "--interval", "1s"], arguments].concat();
        Terminal::run(&self.scene.gateway.ctl_command(&top), size)
    }
}

/// Datagrams to [`ECHO`] at a steady pace, for as long as this lives.
struct Talk(Arc<AtomicBool>);

impl Talk {
    fn start(from: &Host, to: Ipv4Addr) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let socket = from
            .netns
            .enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 40_000))?))?;
        thread::spawn(move || {
            let begin = Instant::now();
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                if begin.elapsed() >= Duration::from_secs(1) * sent / A_SECOND {
                    // While no gateway runs there is no way.
                    socket.send_to(&[0; PAYLOAD], (to, ECHO)).ok();
                    sent += 1;
                } else {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Ok(Self(stop))
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a number and the word behind it stand for: `411.2`, `k` or `kbit/s`.
fn number(words: &[&str]) -> Option<f64> {
    let unit = match words.get(1)?.chars().next()? {
        'k' => 1e3,
        'M' => 1e6,
        _ => 1.0,
    };
    Some(words[0].parse::<f64>().ok()? * unit)
}
