//! Protocols without ports that a NAT can tell apart: one client at a time has the way to a server.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Heard, Tap},
    ping::ping,
    raw::{IcmpInbox, Packet},
    scene::{Plan, Scene},
    topology::Shape,
    wait,
};

pub(crate) const SOON: Duration = Duration::from_secs(3);
const GRE: u8 = 47;
const ESP: u8 = 50;
const SCTP: u8 = 132;
/// Communication administratively prohibited.
const PROHIBITED: (u8, u8) = (3, 13);

#[test]
fn gre_and_esp_have_one_owner_per_server_and_the_second_client_is_told_xdp() -> Result<()> {
    one_owner(&Plan {
        shape: Shape::OneArm,
        ..Plan::routed("xdp")
    })
}

#[test]
fn gre_and_esp_have_one_owner_per_server_and_the_second_client_is_told_tc() -> Result<()> {
    one_owner(&Plan::routed("tc"))
}

fn one_owner(plan: &Plan<'_>) -> Result<()> {
    let scene = Plan {
        sections: "\n[timeouts]\nother = \"4s\"\nport_rest = \"1s\"\n",
        ..*plan
    }
    .start()?;
    let [owner, second] = &scene.topology.clients;
    let (server, outside, inside) = ends(&scene)?;
    let elsewhere = scene.more_servers(30..31)?[0];
    for (protocol, payload) in [(GRE, gre()), (ESP, esp())] {
        Packet::new(owner.addr, server, protocol, payload.clone()).send(&owner.netns)?;
        let heard = next(&outside, protocol, &payload)?;
        ensure!(heard.src() == scene.topology.external, "{}", heard.src());

        // The second is refused there, and free elsewhere.
        let mut inbox = IcmpInbox::open(&second.netns)?;
        Packet::new(second.addr, server, protocol, payload.clone()).send(&second.netns)?;
        let told = inbox.next(PROHIBITED, SOON)?;
        ensure!(
            (told.about_src, told.about_dst) == (second.addr, server),
            "{told:?}"
        );
        Packet::new(second.addr, elsewhere, protocol, payload.clone()).send(&second.netns)?;
        let heard = next(&outside, protocol, &payload)?;
        ensure!(heard.dst() == elsewhere, "{}", heard.dst());

        // What each server sends goes to its own client.
        for (from, to) in [(server, 0), (elsewhere, 1)] {
            let answer = [&payload[..], b"answer"].concat();
            Packet::new(from, scene.topology.external, protocol, answer.clone())
                .send(&scene.topology.server.netns)?;
            let heard = next(&inside[to], protocol, &answer)?;
            ensure!(
                (heard.src(), heard.dst()) == (from, scene.topology.clients[to].addr),
                "{} to {}",
                heard.src(),
                heard.dst()
            );
            ping(&scene.topology.clients[1 - to].netns, server, 9, 1)?;
            let strayed =
                inside[1 - to].all(|heard| (heard.protocol() == protocol).then_some(()))?;
            ensure!(strayed.is_empty(), "the other client heard it too");
        }
    }
    let refused = scene.gateway.verdict("protocol_taken")?;
    ensure!(refused == 2, "{refused} were refused");
    wait::until(
        Duration::from_secs(20),
        "the second has the way when the first has left it",
        || {
            Packet::new(second.addr, server, GRE, gre()).send(&second.netns)?;
            let gre = |heard: &Heard| (heard.protocol() == GRE).then_some(());
            outside.next("GRE", Duration::from_millis(200), gre)
        },
    )
}

#[test]
fn sctp_is_translated_by_address_and_its_checksum_stays_right() -> Result<()> {
    let scene = Plan::routed("xdp").start()?;
    let [owner, second] = &scene.topology.clients;
    let (server, outside, inside) = ends(&scene)?;
    // Ports 5000 and 9, a tag, the CRC32c of it all, an INIT chunk's begin: the NAT has no part in any.
    let association = |port: u16| {
        let mut payload = [&port.to_be_bytes()[..], &[0, 9], &[0; 4], &[0xa5; 4]].concat();
        payload.extend([1, 0, 0, 20, 1, 2, 3, 4, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
        payload
    };
    let payload = association(5000);
    Packet::new(owner.addr, server, SCTP, payload.clone()).send(&owner.netns)?;
    next(&outside, SCTP, &payload)?;
    let mut answer = payload.clone();
    answer[..4].rotate_left(2);
    Packet::new(server, scene.topology.external, SCTP, answer.clone())
        .send(&scene.topology.server.netns)?;
    let heard = next(&inside[0], SCTP, &answer)?;
    ensure!(heard.dst() == owner.addr, "{}", heard.dst());

    Packet::new(second.addr, server, SCTP, payload).send(&second.netns)?;
    wait::until(SOON, "the same ports are another client's", || {
        let refused = scene.gateway.verdict("protocol_taken")?;
        ensure!(refused == 1, "{refused} were refused");
        Ok(())
    })?;
    let payload = association(5001);
    Packet::new(second.addr, server, SCTP, payload.clone()).send(&second.netns)?;
    next(&outside, SCTP, &payload)
        .context("another port is free")
        .map(drop)
}

/// The server's address, what it hears, and what the clients hear.
pub(crate) fn ends(scene: &Scene) -> Result<(std::net::Ipv4Addr, Tap, [Tap; 2])> {
    let topology = &scene.topology;
    let [first, second] = &topology.clients;
    for client in [first, second] {
        ping(&client.netns, topology.server.addr, 9, 1)?;
    }
    Ok((
        topology.server.addr,
        Tap::open(&topology.server.netns, "eth0")?,
        [
            Tap::open(&first.netns, "eth0")?,
            Tap::open(&second.netns, "eth0")?,
        ],
    ))
}

/// The next packet of the protocol, which must carry exactly this.
pub(crate) fn next(tap: &Tap, protocol: u8, payload: &[u8]) -> Result<Heard> {
    let what = format!("a packet of protocol {protocol}");
    let heard = tap.next(&what, SOON, |heard| {
        (heard.protocol() == protocol).then(|| heard.clone())
    })?;
    heard.expect_sound()?;
    ensure!(
        heard.payload() == payload,
        "{payload:02x?} became {:02x?}",
        heard.payload()
    );
    Ok(heard)
}

/// With a key, of Ethernet.
fn gre() -> Vec<u8> {
    [&[0x20, 0, 0x65, 0x58, 0, 0, 0, 7][..], &[0x11; 32]].concat()
}

/// An SPI, a sequence number, and what nobody reads.
fn esp() -> Vec<u8> {
    [&[0, 0, 0x10, 1, 0, 0, 0, 1][..], &[0x22; 40]].concat()
}
