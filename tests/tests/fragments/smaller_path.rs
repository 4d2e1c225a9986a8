//! Packets that may be cut, and must be (RFC 4787 REQ-13, RFC 791).

use std::{net::UdpSocket, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{capture::Tap, scene::Scene};

use crate::{
    client_addr, everywhere,
    pieces::{Datagram, Sender, payload},
    server_addr,
    whole::{SOON, bind, echo, receive},
};

const SMALL: usize = 1000;

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
    let client = bind(&topology.clients[0].netns, client_addr(scene, 0))?;
    may_be_cut(&client)?;
    let outside = Tap::open(&topology.server.netns, "eth0")?;
    for len in [SMALL - 28, SMALL - 27, 1472] {
        let sent = payload(len as u64, len);
        client.send_to(&sent, server_addr(scene))?;
        let (came, from) = receive(&server).with_context(|| format!("{len} bytes"))?;
        ensure!(
            came == sent && *from.ip() == topology.external,
            "{len} bytes"
        );
    }
    // One that is a fragment already.
    let sent = payload(1, 3500);
    let pieces = Datagram::udp(client_addr(scene, 0), server_addr(scene), 1, &sent).cut(1400);
    Sender::open(&topology.clients[0].netns)?.send(pieces.iter().rev())?;
    ensure!(receive(&server).context("fragments")?.0 == sent);

    let sizes =
        outside.all(|heard| (heard.protocol() == 17).then_some(heard.payload().len() + 20))?;
    ensure!(sizes.iter().all(|size| *size <= SMALL), "{sizes:?}");
    // 1 whole, 2 in two, and three pieces of which two are cut.
    ensure!(sizes.len() == 1 + 4 + 5, "{sizes:?}");
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
    may_be_cut(&server)?;
    let inside = Tap::open(&topology.clients[0].netns, "eth0")?;
    for len in [SMALL - 28, SMALL - 27, 1472] {
        let sent = payload(len as u64, len);
        server.send_to(&sent, seen)?;
        let (came, from) = receive(&client).with_context(|| format!("{len} bytes"))?;
        ensure!(came == sent && from == server_addr(scene), "{len} bytes");
    }
    let size = inside.next("a piece", SOON, |heard| {
        (heard.protocol() == 17).then_some(heard.payload().len() + 20)
    })?;
    ensure!(size <= SMALL, "{size}");
    ensure!(scene.gateway.verdict("split")? == 2);
    Ok(())
}

/// No DF, whatever the kernel knows of the path.
fn may_be_cut(socket: &UdpSocket) -> Result<()> {
    let never = libc::IP_PMTUDISC_DONT;
    // SAFETY: a socket of ours, and an integer of the size given.
    let code = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw const never).cast(),
            size_of_val(&never) as u32,
        )
    };
    ensure!(
        code == 0,
        "IP_MTU_DISCOVER: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}
