//! Packets that may be cut, and must be (RFC 4787 REQ-13, RFC 791).

use anyhow::{Context as _, Result, ensure};
use snat_tests::{capture::Tap, scene::Scene};

use crate::{
    carried::offset,
    client_addr, everywhere,
    pieces::{Datagram, Sender, payload},
    server_addr,
    whole::{bind, echo, receive},
};

const SMALL: usize = 1000;
/// As many bytes as fit behind an IP header there, in whole blocks of eight.
const FULL: usize = 976;
/// What `SMALL - 28`, `SMALL - 27` and 1472 bytes of payload become: where each piece belongs, how long it is.
const PIECES: [(usize, usize); 5] = [(0, 980), (0, FULL), (FULL, 5), (0, FULL), (FULL, 504)];

everywhere! {
    what_may_be_cut_is_cut_to_fit_on_the_way_out_xdp: cut_out, "xdp", Routed;
    what_may_be_cut_is_cut_to_fit_on_the_way_out_tc: cut_out, "tc", Routed;
    what_may_be_cut_is_cut_to_fit_on_the_way_in_xdp: cut_in, "xdp", Routed;
    what_may_be_cut_is_cut_to_fit_on_the_way_in_tc: cut_in, "tc", Routed;
}

fn cut_out(scene: &Scene) -> Result<()> {
    let topology = &scene.topology;
    let small = format!("link set eth0 mtu {SMALL}");
    topology.gateway.netns.ip(&small)?;
    let server = bind(&topology.server.netns, server_addr(scene))?;
    let sender = Sender::open(&topology.clients[0].netns)?;
    let outside = Tap::open(&topology.server.netns, "eth0")?;
    for len in [SMALL - 28, SMALL - 27, 1472] {
        let sent = payload(len as u64, len);
        let packet = Datagram::udp(client_addr(scene, 0), server_addr(scene), 2, &sent).cut(1480);
        sender.send(&packet)?;
        let (came, from) = receive(&server).with_context(|| format!("{len} bytes"))?;
        ensure!(
            came == sent && *from.ip() == topology.external,
            "{len} bytes"
        );
    }
    ensure_pieces(&heard(&outside)?, &PIECES)?;
    // One that is a fragment already.
    let sent = payload(1, 3500);
    let pieces = Datagram::udp(client_addr(scene, 0), server_addr(scene), 1, &sent).cut(1400);
    sender.send(pieces.iter().rev())?;
    ensure!(receive(&server).context("fragments")?.0 == sent);

    // Three pieces, of which two are cut. The last two waited for the first: which of them goes on first is open.
    let mut pieces = heard(&outside)?;
    let at = |start| pieces.iter().position(|(offset, _)| *offset == start);
    ensure!(
        at(0) < at(FULL) && at(1400) < at(1400 + FULL),
        "{pieces:?} are not in order"
    );
    pieces.sort_unstable();
    let rest = 1400 - FULL;
    ensure_pieces(
        &pieces,
        &[
            (0, FULL),
            (FULL, rest),
            (1400, FULL),
            (1400 + FULL, rest),
            (2800, 708),
        ],
    )?;
    ensure!(scene.gateway.verdict("split")? == 4);
    Ok(())
}

fn cut_in(scene: &Scene) -> Result<()> {
    let topology = &scene.topology;
    let small = format!("link set eth1 mtu {SMALL}");
    let server = bind(&topology.server.netns, server_addr(scene))?;
    let client = bind(&topology.clients[0].netns, client_addr(scene, 0))?;
    topology.gateway.netns.ip(&small)?;
    let seen = echo(&client, &server, 10)?;
    let sender = Sender::open(&topology.server.netns)?;
    let inside = Tap::open(&topology.clients[0].netns, "eth0")?;
    for len in [SMALL - 28, SMALL - 27, 1472] {
        let sent = payload(len as u64, len);
        sender.send(&Datagram::udp(server_addr(scene), seen, 2, &sent).cut(1480))?;
        let (came, from) = receive(&client).with_context(|| format!("{len} bytes"))?;
        ensure!(came == sent && from == server_addr(scene), "{len} bytes");
    }
    ensure_pieces(&heard(&inside)?, &PIECES)?;
    ensure!(scene.gateway.verdict("split")? == 2);
    Ok(())
}

/// Where each packet's data belong and how much they are, in the order in which they came.
fn heard(tap: &Tap) -> Result<Vec<(usize, usize)>> {
    tap.all(|heard| (heard.protocol() == 17).then(|| (offset(heard), heard.payload().len())))
}

fn ensure_pieces(came: &[(usize, usize)], expected: &[(usize, usize)]) -> Result<()> {
    ensure!(came == expected, "{came:?} instead of {expected:?}");
    Ok(())
}
