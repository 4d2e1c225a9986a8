//! Connections that begin and end while others are taken over: none of them is lost on the way.

use std::{net::SocketAddr, sync::atomic::Ordering};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::nft_masquerade,
    netns::Netns,
    session::LineServer,
    traffic::{ECHO, SSH},
    udp::UdpEcho,
};

use crate::{
    crowd::{Crowd, Datagrams, Line, Talking},
    ground::Ground,
};

const STANDING: usize = 500;

#[test]
fn connections_that_begin_while_others_are_taken_over_are_not_cut() -> Result<()> {
    let ground = Ground::build("xdp", "", "")?;
    nft_masquerade(&ground.topology)?;
    let server = ground.topology.server.addr;
    let _lines = LineServer::start(&ground.topology.server.netns, SSH)?;
    let _echo = UdpEcho::start(&ground.topology.server.netns, ECHO)?;
    let mut standing = Crowd::open(&ground, STANDING, 0)?;

    let [first, second] = &ground.topology.clients;
    let tcp = short(&first.netns, (server, SSH).into(), |server| {
        let mut line = Line::open(server)?;
        (0..5).try_for_each(|_| line.talk())
    })?;
    let udp = short(&second.netns, (server, ECHO).into(), |server| {
        let mut datagrams = Datagrams::open(server)?;
        (0..5).try_for_each(|_| datagrams.talk())
    })?;
    let done = ground.adopt_ends(0, &[])?;
    let ((), begun) = tcp.stop().context("TCP")?;
    let ((), sent) = udp.stop().context("UDP")?;
    println!("{begun} TCP and {sent} UDP came and went: {done}");
    ensure!(begun > 10 && sent > 10, "too little came to show anything");
    standing.talk()
}

/// One connection after the other, each of which must do what `talk` does.
fn short(
    netns: &Netns,
    server: SocketAddr,
    talk: impl Fn(SocketAddr) -> Result<()> + Send + 'static,
) -> Result<Talking<()>> {
    let inside = std::fs::File::open(netns.path())?;
    Ok(Talking::start(move |stop| {
        nix::sched::setns(inside, nix::sched::CloneFlags::CLONE_NEWNET)?;
        let mut rounds = 0;
        while !stop.load(Ordering::Relaxed) {
            talk(server).with_context(|| format!("the one after {rounds}"))?;
            rounds += 1;
        }
        Ok(((), rounds))
    }))
}
