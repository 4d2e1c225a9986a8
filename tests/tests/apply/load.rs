//! Applied again and again while clients open flows: each packet has an address and port of one configuration or the other.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    ops::RangeInclusive,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Tap,
    raw::Packet,
    scene::{Plan, Scene},
    sender::{Sender, speak_for},
};

use crate::ground::{SERVER, apply, datapaths, text, two_addresses, write};

const TIMES: usize = 50;
const PORT: u16 = 7000;

/// What a client may be translated to: the last byte of the address, and ports.
type Place = (u8, RangeInclusive<u16>);

/// By client: in the first configuration, and in the second.
fn places(client: Ipv4Addr) -> [Place; 2] {
    if client.octets()[3] == 11 {
        [(10, 2000..=2999), (13, 5000..=5999)]
    } else {
        [(11, 3000..=3999), (12, 4000..=4999)]
    }
}

datapaths! {
    no_packet_finds_half_of_each_configuration_xdp: under_load, "xdp";
    no_packet_finds_half_of_each_configuration_tc: under_load, "tc";
}

fn under_load(datapath: &str) -> Result<()> {
    let scene = Plan {
        external: "[\"203.0.113.11\"]",
        entry: "ports = \"3000-3999\"",
        sections: "\n[timeouts]\ntcp_closing = \"1s\"\nport_rest = \"1s\"\nudp = \"3s\"\n",
        ..two_addresses(datapath)
    }
    .start()?;
    let first = configuration(&scene, 0)?;
    let second = configuration(&scene, 1)?;
    speak_for(&scene.topology.server.netns, PORT, PORT)?;
    write(&scene, &first)?;
    apply(&scene)?;
    let tap = Tap::open(&scene.topology.server.netns, "eth0")?;
    let done = AtomicBool::new(false);
    let (sent, seen) = thread::scope(|scope| -> Result<_> {
        let senders = scene.topology.clients.each_ref().map(|client| {
            let done = &done;
            scope.spawn(move || open_flows(&client.netns, client.addr, done))
        });
        let judge = scope.spawn(|| judge(&tap, &done));
        for round in 0..TIMES {
            write(&scene, if round % 2 == 0 { &second } else { &first })?;
            apply(&scene)
                .with_context(|| format!("round {round}"))
                .inspect_err(|_| {
                    done.store(true, Ordering::Relaxed);
                })?;
        }
        done.store(true, Ordering::Relaxed);
        let mut sent = 0;
        for sender in senders {
            sent += join(sender)?;
        }
        Ok((sent, join(judge)?))
    })?;
    ensure!(seen > 1000, "{seen} of {sent} were seen: that shows little");
    Ok(())
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The file with the entries of one of both: in the second they come in another order.
fn configuration(scene: &Scene, number: usize) -> Result<String> {
    let text = text(scene)?;
    let begin = text.find("[[snat]]").context("an entry")?;
    let end = text.find("[[bypass]]").context("a bypass")?;
    let entry = |client: [u8; 4], prefix: &str| {
        let (last, ports) = &places(client.into())[number];
        format!(
            "[[snat]]\nname = \"of-{}\"\nsource = [\"{prefix}\"]\nexternal = [\"203.0.113.{last}\"]\nports = \"{}-{}\"\n\n",
            client[3],
            ports.start(),
            ports.end()
        )
    };
    let mut entries = [
        entry([172, 16, 1, 11], "172.16.1.11/32"),
        entry([172, 16, 1, 12], "172.16.0.0/16"),
    ];
    if number == 1 {
        entries.reverse();
    }
    Ok(format!(
        "{}{}{}",
        &text[..begin],
        entries.concat(),
        &text[end..]
    ))
}

/// A datagram from another port each time; the client's last byte is in it, as its length.
fn open_flows(
    netns: &snat_tests::netns::Netns,
    client: Ipv4Addr,
    done: &AtomicBool,
) -> Result<u64> {
    let sender = Sender::open(netns)?;
    let mut sent = 0;
    while !done.load(Ordering::Relaxed) {
        let port = 10_000 + (sent % 20_000) as u16;
        let from = SocketAddrV4::new(client, port);
        let to = SocketAddrV4::new(SERVER, PORT);
        sender.send(&Packet::udp(from, to, usize::from(client.octets()[3])))?;
        sent += 1;
        thread::sleep(Duration::from_micros(500));
    }
    Ok(sent)
}

fn judge(tap: &Tap, done: &AtomicBool) -> Result<u64> {
    let mut seen = 0;
    loop {
        let ending = done.load(Ordering::Relaxed);
        let wrong = tap.all(|heard| {
            if heard.protocol() != 17 || heard.ports().1 != PORT {
                return None;
            }
            seen += 1;
            let client = Ipv4Addr::new(172, 16, 1, (heard.payload().len() - 8) as u8);
            let fits = places(client).iter().any(|(last, ports)| {
                heard.src() == Ipv4Addr::new(203, 0, 113, *last) && ports.contains(&heard.ports().0)
            });
            (!fits).then(|| format!("{client} as {}:{}", heard.src(), heard.ports().0))
        })?;
        ensure!(wrong.is_empty(), "{wrong:?}");
        if ending {
            return Ok(seen);
        }
    }
}
