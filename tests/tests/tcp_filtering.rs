//! Who may open a TCP connection to a client's port: as configured (RFC 5382 REQ-3).

use std::{net::SocketAddrV4, time::Duration};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Heard, Tap},
    ping::ping,
    scene::Plan,
    segment::{ACK, SYN, Segment},
    sender::{Sender, speak_for},
};

const SOON: Duration = Duration::from_secs(3);
/// What each filtering lets in: another port of the server that the client speaks to, and another server.
const FILTERINGS: [(&str, [bool; 2]); 3] = [
    ("endpoint-independent", [true, true]),
    ("address-dependent", [true, false]),
    ("address-and-port-dependent", [false, false]),
];

#[test]
fn connections_from_outside_are_let_in_as_filtering_says_xdp() -> Result<()> {
    FILTERINGS
        .iter()
        .try_for_each(|(filtering, let_in)| from_outside("xdp", filtering, *let_in))
}

#[test]
fn connections_from_outside_are_let_in_as_filtering_says_tc() -> Result<()> {
    FILTERINGS
        .iter()
        .try_for_each(|(filtering, let_in)| from_outside("tc", filtering, *let_in))
}

fn from_outside(datapath: &str, filtering: &str, let_in: [bool; 2]) -> Result<()> {
    let scene = Plan {
        entry: &format!("mapping = \"endpoint-independent\"\nfiltering = {filtering:?}"),
        ..Plan::routed(datapath)
    }
    .start()?;
    let (client, server) = (&scene.topology.clients[0], &scene.topology.server);
    let others = scene.more_servers(30..31)?;
    speak_for(&client.netns, 4000, 4000)?;
    speak_for(&server.netns, 9000, 9001)?;
    ping(&client.netns, server.addr, 1, 1)?;
    let inside = Tap::open(&client.netns, "eth0")?;
    let outside = Tap::open(&server.netns, "eth0")?;
    let from_client = Sender::open(&client.netns)?;
    let from_server = Sender::open(&server.netns)?;

    let own = SocketAddrV4::new(client.addr, 4000);
    let spoken_to = SocketAddrV4::new(server.addr, 9000);
    from_client.send(&Segment::new(own, spoken_to, SYN).packet())?;
    let external = outside.next("the client's SYN", SOON, |heard| {
        let (src, dst) = ends(heard)?;
        (dst == spoken_to).then_some(src)
    })?;

    let strangers = [
        SocketAddrV4::new(server.addr, 9001),
        SocketAddrV4::new(others[0], 9000),
    ];
    for stranger in strangers {
        from_server.send(&Segment::new(stranger, external, SYN).packet())?;
    }
    // Behind them: once it is answered, they have arrived or never will.
    ping(&client.netns, server.addr, 1, 3)?;
    let heard = inside.all(|heard| {
        let (src, dst) = ends(heard)?;
        (dst == own && flags(heard) == SYN).then_some(src)
    })?;
    let expected: Vec<_> = strangers
        .into_iter()
        .zip(let_in)
        .filter_map(|(stranger, is_let_in)| is_let_in.then_some(stranger))
        .collect();
    ensure!(
        heard == expected,
        "{filtering}: SYNs came from {heard:?}, not from {expected:?}"
    );
    let filtered = scene.gateway.verdict("filtered")?;
    ensure!(
        filtered == (strangers.len() - expected.len()) as u64,
        "{filtering}: {filtered} were filtered"
    );

    // Who was let in is spoken to from the port that he knows.
    for stranger in expected {
        from_client.send(&Segment::new(own, stranger, SYN | ACK).packet())?;
        outside
            .next("the client's answer", SOON, |heard| {
                (ends(heard) == Some((external, stranger))).then_some(())
            })
            .with_context(|| format!("{filtering}, to {stranger}"))?;
    }
    Ok(())
}

/// Source and destination of TCP.
fn ends(heard: &Heard) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let (src, dst) = heard.ports();
    (heard.protocol() == 6).then(|| {
        (
            SocketAddrV4::new(heard.src(), src),
            SocketAddrV4::new(heard.dst(), dst),
        )
    })
}

fn flags(heard: &Heard) -> u8 {
    heard.payload().get(13).copied().unwrap_or_default()
}
