//! Fragments that nobody sends for good, and what they must not do (RFC 1858, RFC 3128, RFC 4787 REQ-14a).

use std::{net::SocketAddrV4, time::Duration};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{capture::Tap, scene::Scene, wait};

use crate::{
    client_addr, everywhere, nobody,
    pieces::{Datagram, Piece, Sender, payload},
    server_addr,
    whole::{SOON, bind, echo, receive},
};

everywhere! {
    impossible_fragments_are_dropped_xdp: impossible, "xdp", Routed;
    impossible_fragments_are_dropped_tc: impossible, "tc", Routed;
    an_overlap_does_not_change_a_datagram: overlap, "tc", Routed;
    a_flood_of_fragments_harms_nobody_else_xdp: flood, "xdp", Routed;
    a_flood_of_fragments_harms_nobody_else_tc: flood, "tc", OneArm;
}

fn impossible(scene: &Scene) -> Result<()> {
    let (src, dst) = (client_addr(scene, 0), server_addr(scene));
    let sender = Sender::open(&scene.topology.clients[0].netns)?;
    let outside = Tap::open(&scene.topology.server.netns, "eth0")?;
    let mut datagram = Datagram::udp(src, dst, 1, &[0; 64]);
    let far = datagram.piece(65_528, &[0; 16], false);
    let udp = datagram.piece(0, &[0; 0], true);
    datagram.protocol = 6;
    let tiny = datagram.piece(0, &[0; 16], true);
    let header = datagram.piece(8, &[0; 64], false);
    let options = datagram.piece(16, &[0; 64], false);
    let odd = datagram.piece(1400, &[0; 65], true);
    let all = [far, udp, tiny, header, options, odd];
    sender.send(&all)?;
    expect_invalid(scene, all.len() as u64)?;
    let client = bind(&scene.topology.clients[0].netns, src)?;
    let server = bind(&scene.topology.server.netns, dst)?;
    let seen = echo(&client, &server, 10)?;

    // From outside as well.
    let mut datagram = Datagram::udp(dst, seen, 1, &[0; 64]);
    let far = datagram.piece(65_528, &[0; 16], false);
    datagram.protocol = 6;
    let tiny = datagram.piece(0, &[0; 16], true);
    Sender::open(&scene.topology.server.netns)?.send([&far, &tiny])?;
    expect_invalid(scene, all.len() as u64 + 2)?;
    let strays = outside.all(|heard| (heard.word(0) == 0).then(|| heard.bytes.clone()))?;
    ensure!(strays.is_empty(), "{strays:?}");
    Ok(())
}

fn overlap(scene: &Scene) -> Result<()> {
    let (src, dst) = (client_addr(scene, 0), server_addr(scene));
    let server = bind(&scene.topology.server.netns, dst)?;
    let sender = Sender::open(&scene.topology.clients[0].netns)?;
    let sent = payload(1, 3500);
    let datagram = Datagram::udp(src, dst, 5, &sent);
    let pieces = datagram.cut(1400);
    let other = |at, len, more| datagram.piece(at, &vec![0xee; len], more);
    sender.send([
        &pieces[0],
        &other(0, 1400, true),
        &other(8, 64, true),
        &other(1392, 16, true),
        &pieces[1],
        &pieces[1],
        &other(2792, 800, false),
        &pieces[2],
    ])?;
    ensure!(receive(&server)?.0 == sent, "the datagram was changed");
    expect_invalid(scene, 5)
}

/// Unfragmented traffic and fragments in order go on, whatever comes besides.
fn flood(scene: &Scene) -> Result<()> {
    let topology = &scene.topology;
    let client = bind(&topology.clients[0].netns, client_addr(scene, 0))?;
    let server = bind(&topology.server.netns, server_addr(scene))?;
    let seen = echo(&client, &server, 10)?;
    let outside = Sender::open(&topology.server.netns)?;
    let inside = Sender::open(&topology.clients[1].netns)?;
    for round in 0..10_u16 {
        let junk = (0..500).map(|number| {
            let id = round * 500 + number + 1;
            later(SocketAddrV4::new(nobody((id % 250) as u8), 1), seen, id)
        });
        outside.send(&junk.collect::<Vec<_>>())?;
        let from = SocketAddrV4::new(topology.clients[1].addr, 1);
        let junk = (0..500).map(|number| later(from, server_addr(scene), round * 500 + number + 1));
        inside.send(&junk.collect::<Vec<_>>())?;
        for len in [100, 6000] {
            let now = echo(&client, &server, len).with_context(|| format!("round {round}"))?;
            ensure!(now == seen);
        }
    }
    let held = scene.gateway.verdict("fragment_held")?;
    let refused = scene.gateway.verdict("fragment_limit")?;
    ensure!(held > 0 && refused > 0, "{held} held, {refused} refused");
    ensure!(held + refused >= 9000, "{held} held, {refused} refused");
    Ok(())
}

fn later(src: SocketAddrV4, dst: SocketAddrV4, id: u16) -> Piece {
    Datagram::udp(src, dst, id, &[]).piece(1400, &[0; 64], false)
}

fn expect_invalid(scene: &Scene, count: u64) -> Result<()> {
    wait::until(
        SOON + Duration::from_secs(1),
        "fragments are refused",
        || {
            let invalid = scene.gateway.verdict("fragment_invalid")?;
            ensure!(invalid == count, "{invalid} of {count}");
            Ok(())
        },
    )
}
