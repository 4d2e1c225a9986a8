//! Fragments in any order, and of datagrams that look alike.

use anyhow::{Context as _, Result, ensure};
use snat_tests::scene::{Plan, Scene};
use std::net::SocketAddrV4;

use crate::{
    CLIENT_PORT, client_addr, everywhere,
    pieces::{Datagram, Sender, payload},
    server_addr,
    whole::{bind, echo, receive},
};

/// Every order of three.
pub(crate) const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

everywhere! {
    fragments_pass_in_any_order_xdp: any_order, "xdp", Routed;
    fragments_pass_in_any_order_xdp_generic_one_arm: any_order, "xdp-generic", OneArm;
    fragments_pass_in_any_order_tc: any_order, "tc", Routed;
    fragments_pass_in_any_order_tc_one_arm: any_order, "tc", OneArm;
    datagrams_with_one_identification_do_not_mix_xdp: one_identification, "xdp", Routed;
    datagrams_with_one_identification_do_not_mix_tc: one_identification, "tc", OneArm;
    fragments_in_any_order_open_a_flow: any_order_opens, "tc", Routed;
    a_datagram_of_40_fragments_passes_backwards: backwards, "tc", Routed;
    an_identification_is_used_again: used_again, "tc", Routed;
}

#[test]
fn fragments_pass_between_clients_in_any_order() -> Result<()> {
    let plan = Plan {
        entry: "filtering = \"endpoint-independent\"",
        ..Plan::routed("tc")
    };
    hairpin(&plan.start()?)
}

fn hairpin(scene: &Scene) -> Result<()> {
    let [first, second] = &scene.topology.clients;
    let server = bind(&scene.topology.server.netns, server_addr(scene))?;
    let client = bind(&first.netns, client_addr(scene, 0))?;
    let peer = bind(&second.netns, client_addr(scene, 1))?;
    let seen = echo(&client, &server, 10)?;
    let sender = Sender::open(&second.netns)?;
    for (id, order) in (1_u16..).zip(ORDERS) {
        let sent = payload(id.into(), 3500);
        let pieces = Datagram::udp(client_addr(scene, 1), seen, id, &sent).cut(1400);
        sender.send(order.map(|at| &pieces[at]))?;
        let (came, from) = receive(&client).with_context(|| format!("{order:?}"))?;
        ensure!(
            came == sent && *from.ip() == scene.topology.external,
            "{order:?} from {from}"
        );
        client.send_to(&sent, from)?;
        let (back, from) = receive(&peer).with_context(|| format!("back, {order:?}"))?;
        ensure!(back == sent && from == seen, "back, {order:?}, from {from}");
    }
    Ok(())
}

fn any_order(scene: &Scene) -> Result<()> {
    let (src, dst) = (client_addr(scene, 0), server_addr(scene));
    let (inside, outside) = (&scene.topology.clients[0], &scene.topology.server);
    let client = bind(&inside.netns, src)?;
    let server = bind(&outside.netns, dst)?;
    let seen = echo(&client, &server, 10)?;
    let (from_client, from_server) = (Sender::open(&inside.netns)?, Sender::open(&outside.netns)?);
    for (id, order) in (1_u16..).zip(ORDERS) {
        let sent = payload(id.into(), 3500);
        let pieces = Datagram::udp(src, dst, id, &sent).cut(1400);
        from_client.send(order.map(|at| &pieces[at]))?;
        let (came, from) = receive(&server).with_context(|| format!("{order:?} out"))?;
        ensure!(came == sent && from == seen, "{order:?} out, from {from}");

        let pieces = Datagram::udp(dst, seen, id, &sent).cut(1400);
        from_server.send(order.map(|at| &pieces[at]))?;
        let (came, from) = receive(&client).with_context(|| format!("{order:?} in"))?;
        ensure!(came == sent && from == dst, "{order:?} in, from {from}");
    }
    // One each of two orders, two each of two: 6, both ways.
    ensure!(scene.gateway.verdict("fragment_held")? == 12);
    Ok(())
}

fn any_order_opens(scene: &Scene) -> Result<()> {
    let server = bind(&scene.topology.server.netns, server_addr(scene))?;
    let sender = Sender::open(&scene.topology.clients[0].netns)?;
    for (id, order) in (1_u16..).zip(ORDERS) {
        let src = SocketAddrV4::new(scene.topology.clients[0].addr, CLIENT_PORT + id);
        let sent = payload(id.into(), 3500);
        let pieces = Datagram::udp(src, server_addr(scene), id, &sent).cut(1400);
        sender.send(order.map(|at| &pieces[at]))?;
        let (came, from) = receive(&server).with_context(|| format!("{order:?}"))?;
        ensure!(came == sent, "{order:?} from {from}");
        ensure!(*from.ip() == scene.topology.external);
    }
    ensure!(scene.gateway.flows()?.len() == ORDERS.len());
    Ok(())
}

fn backwards(scene: &Scene) -> Result<()> {
    let server = bind(&scene.topology.server.netns, server_addr(scene))?;
    let sender = Sender::open(&scene.topology.clients[0].netns)?;
    let sent = payload(1, 40 * 1400 - 8);
    let pieces = Datagram::udp(client_addr(scene, 0), server_addr(scene), 1, &sent).cut(1400);
    ensure!(pieces.len() == 40);
    sender.send(pieces.iter().rev())?;
    ensure!(receive(&server)?.0 == sent);
    Ok(())
}

/// Two clients behind one address: without new identifications the server would put their pieces together.
fn one_identification(scene: &Scene) -> Result<()> {
    let server = bind(&scene.topology.server.netns, server_addr(scene))?;
    let topology = &scene.topology;
    let senders = [0, 1].map(|client| Sender::open(&topology.clients[client].netns));
    let [first, second] = senders;
    let (first, second) = (first?, second?);
    let sent = [payload(1, 3500), payload(2, 3500)];
    let pieces = [0, 1].map(|client: usize| {
        Datagram::udp(
            client_addr(scene, client),
            server_addr(scene),
            77,
            &sent[client],
        )
        .cut(1400)
    });
    for (one, other) in pieces[0].iter().zip(&pieces[1]) {
        first.send([one])?;
        second.send([other])?;
    }
    let mut came = [receive(&server)?.0, receive(&server)?.0];
    came.sort();
    let mut expected = sent;
    expected.sort();
    ensure!(came == expected, "the datagrams were mixed up");
    Ok(())
}

/// A busy client has no more than 65,536 identifications.
fn used_again(scene: &Scene) -> Result<()> {
    let server = bind(&scene.topology.server.netns, server_addr(scene))?;
    let sender = Sender::open(&scene.topology.clients[0].netns)?;
    for round in 0..20_u64 {
        let sent = payload(round, 3500);
        let pieces = Datagram::udp(client_addr(scene, 0), server_addr(scene), 9, &sent).cut(1400);
        let order = ORDERS[round as usize % ORDERS.len()];
        sender.send(order.map(|at| &pieces[at]))?;
        ensure!(
            receive(&server)
                .with_context(|| format!("round {round}"))?
                .0
                == sent
        );
    }
    Ok(())
}

/// To the host's own socket, which no flow is about.
pub(crate) fn to_the_gateway(scene: &Scene) -> Result<()> {
    let dst = SocketAddrV4::new(scene.topology.external, 900);
    let gateway = &scene.topology.gateway.netns;
    let own = bind(gateway, SocketAddrV4::new([0; 4].into(), 900))?;
    let sender = Sender::open(&scene.topology.server.netns)?;
    for (id, order) in (1_u16..).zip(ORDERS) {
        let sent = payload(id.into(), 3500);
        let pieces = Datagram::udp(server_addr(scene), dst, id, &sent).cut(1400);
        sender.send(order.map(|at| &pieces[at]))?;
        let (came, _) = receive(&own).with_context(|| format!("{order:?} to the gateway"))?;
        ensure!(came == sent, "{order:?} to the gateway");
    }
    Ok(())
}
