//! An interface that goes, and comes back as another one of the same name.

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    link::{connect, end, offloads_off, receive_from_xdp},
    netns::Netns,
    raw::{FRAGMENTATION_NEEDED, IcmpInbox, Packet},
    scene::Plan,
    stream::Stream,
    topology::Shape,
};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::soon;

const STREAM: u16 = 9;

/// Of two ways out one is pulled and plugged in again; by the other a stream loses nothing, and its MTU is still followed.
#[test]
fn while_an_interface_is_away_the_others_are_looked_after_xdp() -> Result<()> {
    others_go_on("xdp")
}

#[test]
fn while_an_interface_is_away_the_others_are_looked_after_tc() -> Result<()> {
    others_go_on("tc")
}

fn others_go_on(datapath: &str) -> Result<()> {
    let plan = Plan {
        shape: Shape::TwoEnis,
        ..Plan::routed(datapath)
    };
    let scene = plan.start()?;
    let (gw, server) = (&scene.topology.gateway.netns, &scene.topology.server);
    let client = &scene.topology.clients[0];
    let isp = router(&scene.topology.fabric, "gw1")?;
    let stream = Stream::start(&client.netns, &server.netns, server.addr, STREAM, 2_000)?;

    gw.ip("link del eth1")?;
    soon("the daemon says that it is away", || {
        let log = scene.gateway.log();
        ensure!(log.contains("interface eth1 does not exist"), "{log}");
        Ok(())
    })?;
    let mut inbox = IcmpInbox::open(&client.netns)?;
    gw.ip("link set eth0 mtu 1400")?;
    soon("the client hears of another interface's MTU", || {
        let from = SocketAddrV4::new(client.addr, 7000);
        let mut packet = Packet::udp(from, SocketAddrV4::new(server.addr, 7), 1440);
        packet.fragment = snat_tests::raw::DONT_FRAGMENT;
        packet.send(&client.netns)?;
        let error = inbox.next(FRAGMENTATION_NEEDED, std::time::Duration::from_millis(100))?;
        ensure!(error.mtu == 1400, "{error:?}");
        Ok(())
    })?;

    connect(
        end(gw, "eth1", [192, 0, 2, 10], 24),
        end(isp, "gw1", [192, 0, 2, 1], 24),
    )?;
    offloads_off(gw, "eth1")?;
    offloads_off(isp, "gw1")?;
    receive_from_xdp(isp, "gw1")?;
    soon("it is attached to again", || {
        let status = scene.gateway.ctl_json(&["status", "--interval", "0"])?;
        let problems = status["problems"].to_string();
        ensure!(
            !problems.contains("hook.missing") && !problems.contains("interface.gone"),
            "{problems}"
        );
        Ok(())
    })?;
    let flowed = stream.finish().context("by the interface that stayed")?;
    ensure!(
        flowed.source.ip() == Ipv4Addr::new(203, 0, 113, 10),
        "{flowed:?}"
    );
    Ok(())
}

fn router<'a>(fabric: &'a [Netns], dev: &str) -> Result<&'a Netns> {
    let has = |netns: &&Netns| netns.run(&format!("ip link show {dev}")).is_ok();
    fabric.iter().find(has).context("no router")
}
