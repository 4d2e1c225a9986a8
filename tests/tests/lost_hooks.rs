//! Nothing with a private source leaves, whatever has become of the hooks and routes.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Capture, Direction},
    gateway::Gateway,
    link::{connect, end},
    ping::ping,
    raw::Packet,
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};

const SOON: Duration = Duration::from_secs(5);

macro_rules! everywhere {
    ($($name:ident: $test:ident, $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            $test($datapath, Shape::$shape)
        })+
    };
}

everywhere! {
    without_its_xdp_program_tc_translates_xdp_routed: tc_takes_over, "xdp", Routed;
    without_its_xdp_program_tc_translates_xdp_generic_one_arm: tc_takes_over, "xdp-generic", OneArm;
}

fn tc_takes_over(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, gateway) = start(datapath, shape)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let echo = SocketAddrV4::new(topology.server.addr, ECHO);
    let [first, second] = &topology.clients;
    let before = udp::exchange(&first.netns, echo, 4000, 3)?;
    let (netns, dev) = topology.outside();
    let outside = Capture::start(netns, dev)?;
    detach(&gateway, &["xdp"])?;
    let after = udp::exchange(&first.netns, echo, 4000, 3).context("the open flow")?;
    ensure!(after == before, "{before} became {after}");
    udp::exchange(&second.netns, echo, 4000, 3).context("a new flow")?;
    outside.finish()?.expect_only_from(topology.translated())
}

everywhere! {
    without_its_way_in_the_way_out_is_guarded_routed: way_out_is_guarded, "xdp", Routed;
    without_its_way_in_the_way_out_is_guarded_one_arm: way_out_is_guarded, "tc", OneArm;
}

fn way_out_is_guarded(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, gateway) = start(datapath, shape)?;
    let client = &topology.clients[0];
    ping(&client.netns, topology.server.addr, 1, 1)?;
    detach(&gateway, &["xdp", "ingress"])?;
    let (netns, dev) = topology.outside();
    let outside = Capture::start(netns, dev)?;
    let from = SocketAddrV4::new(client.addr, 4000);
    for port in [53, 123, 4500] {
        let to = SocketAddrV4::new(topology.server.addr, port);
        Packet::udp(from, to, 10).send(&client.netns)?;
    }
    wait::until(SOON, "all are stopped on the way out", || {
        let stopped = gateway.verdict("leak_stopped")?;
        ensure!(stopped == 3, "{stopped} were");
        Ok(())
    })?;
    // The gateway's own packets are no clients'.
    ping(&topology.gateway.netns, topology.server.addr, 2, 1)?;
    outside.finish()?.expect_only_from(topology.translated())
}

everywhere! {
    a_route_by_an_unmanaged_interface_is_no_way_out_xdp: unmanaged_way, "xdp", Routed;
    a_route_by_an_unmanaged_interface_is_no_way_out_tc: unmanaged_way, "tc", Routed;
}

fn unmanaged_way(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, gateway) = start(datapath, shape)?;
    let (gw, isp) = (&topology.gateway.netns, &topology.fabric[1]);
    connect(
        end(gw, "eth2", [192, 0, 2, 2], 30),
        end(isp, "gw2", [192, 0, 2, 1], 30),
    )?;
    let client = &topology.clients[0];
    ping(&client.netns, topology.server.addr, 1, 1)?;
    gw.ip("route add 198.51.100.0/24 via 192.0.2.1")?;
    let aside = Capture::start(isp, "gw2")?;
    let from = SocketAddrV4::new(client.addr, 4000);
    for port in [53, 123] {
        let to = SocketAddrV4::new(topology.server.addr, port);
        Packet::udp(from, to, 10).send(&client.netns)?;
    }
    Packet::new(client.addr, topology.server.addr, 47, vec![0; 40]).send(&client.netns)?;
    wait::until(SOON, "they are dropped and counted", || {
        let dropped = gateway.verdict("unmanaged_egress")?;
        ensure!(dropped == 3, "{dropped} were");
        Ok(())
    })?;
    ping(gw, Ipv4Addr::new(192, 0, 2, 1), 2, 1)?;
    let sources = aside.finish()?.sources(Direction::In);
    ensure!(
        sources.keys().eq([&Ipv4Addr::new(192, 0, 2, 2)]),
        "{sources:?}"
    );
    Ok(())
}

fn start(datapath: &str, shape: Shape) -> Result<(Topology, Gateway)> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let gateway = Gateway::start(&topology, &format!("{prefix}leak"), datapath)?;
    Ok((topology, gateway))
}

/// Takes hooks away as somebody might by hand, and waits until the kernel has let go of them.
fn detach(gateway: &Gateway, hooks: &[&str]) -> Result<()> {
    let before = gateway.objects()?;
    for entry in fs::read_dir(gateway.pins().join("links"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .context("a link's name")?;
        if hooks
            .iter()
            .any(|hook| name.starts_with(&format!("{hook}-")))
        {
            fs::remove_file(&path)?;
        }
    }
    let kept = gateway.objects()?;
    ensure!(kept != before, "nothing was detached: {before:?}");
    // A link is gone before its hook is; its program only after that.
    wait::until(SOON, "the programs are detached", || {
        let alive = before.alive()?.programs;
        ensure!(alive == kept.programs, "{alive:?}, kept {kept:?}");
        Ok(())
    })
}
