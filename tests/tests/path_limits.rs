//! What a router owes a sender: time exceeded, fragmentation needed, and packets that fit.

use std::{
    net::{SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Capture,
    gateway::Gateway,
    http::HttpServer,
    ping::ping,
    raw::{DONT_FRAGMENT, FRAGMENTATION_NEEDED, IcmpInbox, Packet, TIME_EXCEEDED},
    topology::{Host, Offloads, Shape, Topology, unique_prefix},
    traffic::{self, ECHO, HTTP},
    udp::UdpEcho,
};

const SOON: Duration = Duration::from_secs(3);
const SMALL: u16 = 1400;

macro_rules! everywhere {
    ($($name:ident: $test:ident, $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            $test($datapath, Shape::$shape)
        })+
    };
}

everywhere! {
    an_expired_ttl_is_told_xdp: expired_ttl_is_told, "xdp", Routed;
    an_expired_ttl_is_told_xdp_one_arm: expired_ttl_is_told, "xdp", OneArm;
    an_expired_ttl_is_told_xdp_generic: expired_ttl_is_told, "xdp-generic", OneArm;
    an_expired_ttl_is_told_tc: expired_ttl_is_told, "tc", Routed;
    a_smaller_path_is_told_and_bulk_fits_xdp: smaller_path_is_told, "xdp", Routed;
    a_smaller_path_is_told_and_bulk_fits_xdp_generic: smaller_path_is_told, "xdp-generic", Routed;
    a_smaller_path_is_told_and_bulk_fits_tc: smaller_path_is_told, "tc", Routed;
    a_smaller_route_is_told_and_bulk_fits_xdp_one_arm: smaller_route_is_told, "xdp", OneArm;
    a_smaller_route_is_told_and_bulk_fits_tc_one_arm: smaller_route_is_told, "tc", OneArm;
}

fn expired_ttl_is_told(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, gateway) = start(datapath, shape)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let client = &topology.clients[0];
    let mut inbox = IcmpInbox::open(&client.netns)?;
    let (src, dst) = endpoints(&topology);
    let mut packet = Packet::udp(src, dst, 10);
    // How many routers there are before the gateway.
    packet.ttl = if shape == Shape::OneArm { 2 } else { 1 };
    let told = |inbox: &mut IcmpInbox| -> Result<()> {
        packet.send(&client.netns)?;
        let error = inbox.next(TIME_EXCEEDED, SOON)?;
        ensure!(error.from == topology.gateway.addr, "{error:?}");
        ensure!(
            (error.about_src, error.about_dst) == (client.addr, *dst.ip()),
            "{error:?}"
        );
        Ok(())
    };
    told(&mut inbox).context("without a flow")?;
    ensure!(
        gateway.flows()?.is_empty(),
        "it opened {:?}",
        gateway.flows()?
    );
    let socket = client.netns.enter(|| Ok(UdpSocket::bind(src)?))?;
    socket.set_read_timeout(Some(SOON))?;
    socket.send_to(b"open", dst)?;
    socket.recv(&mut [0; 64]).context("opening a flow")?;
    told(&mut inbox).context("of a flow")
}

fn smaller_path_is_told(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, _gateway) = start(datapath, shape)?;
    let set = |dev: &str| format!("link set {dev} mtu {SMALL}");
    topology.gateway.netns.ip(&set("eth0"))?;
    topology.fabric[1].ip(&set("gw"))?;
    told_and_bulk_fits(&topology)
}

fn smaller_route_is_told(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, _gateway) = start(datapath, shape)?;
    let gw = &topology.gateway.netns;
    // Locked: of a route's own MTU the kernel tells BPF no other.
    gw.ip(&format!(
        "route replace default via 172.16.0.1 mtu lock {SMALL}
         route add 172.16.1.0/24 via 172.16.0.1"
    ))?;
    told_and_bulk_fits(&topology)
}

#[test]
fn a_smaller_path_is_told_before_its_neighbour_is_known() -> Result<()> {
    let (topology, gateway) = start("tc", Shape::Routed)?;
    let client = &topology.clients[0];
    topology
        .gateway
        .netns
        .ip(&format!("link set eth0 mtu {SMALL}"))?;
    topology.gateway.netns.ip("neigh flush all")?;
    let mut inbox = IcmpInbox::open(&client.netns)?;
    let (src, dst) = endpoints(&topology);
    let mut packet = Packet::udp(src, dst, 1472);
    packet.fragment = DONT_FRAGMENT;
    packet.send(&client.netns)?;
    let error = inbox.next(FRAGMENTATION_NEEDED, SOON)?;
    ensure!(error.mtu == SMALL, "{error:?}");
    ensure!(gateway.verdict("too_big_to_stack")? == 1);
    Ok(())
}

fn told_and_bulk_fits(topology: &Topology) -> Result<()> {
    let client = &topology.clients[0];
    let _http = HttpServer::start(&topology.server.netns, HTTP)?;
    let mut inbox = IcmpInbox::open(&client.netns)?;
    let (src, dst) = endpoints(topology);
    ping(&client.netns, topology.server.addr, 1, 1)?;
    let headers = 28;
    let mut packet = Packet::udp(src, dst, usize::from(SMALL) + 1 - headers);
    packet.fragment = DONT_FRAGMENT;
    packet.send(&client.netns)?;
    let error = inbox.next(FRAGMENTATION_NEEDED, SOON)?;
    ensure!(
        error.mtu == SMALL && error.from == topology.gateway.addr,
        "{error:?}"
    );
    ensure!(
        (error.about_src, error.about_dst) == (client.addr, *dst.ip()),
        "{error:?}"
    );

    let bind = |host: &Host, addr| host.netns.enter(|| Ok(UdpSocket::bind(addr)?));
    let sink = SocketAddrV4::new(topology.server.addr, 9);
    let receiver = bind(&topology.server, sink)?;
    receiver.set_read_timeout(Some(SOON))?;
    bind(client, src)?.send_to(&vec![0; usize::from(SMALL) - headers], sink)?;
    receiver
        .recv(&mut [0; 2048])
        .context("a packet that just fits")?;

    // The second client has not learnt the path's MTU by the above.
    let outside = Capture::start(&topology.server.netns, "eth0")?;
    traffic::upload(&topology.clients[1], &topology.server).context("upload")?;
    traffic::download(&topology.clients[1], &topology.server).context("download")?;
    outside.finish()?.expect_sound()
}

fn endpoints(topology: &Topology) -> (SocketAddrV4, SocketAddrV4) {
    (
        SocketAddrV4::new(topology.clients[0].addr, 4000),
        SocketAddrV4::new(topology.server.addr, ECHO),
    )
}

fn start(datapath: &str, shape: Shape) -> Result<(Topology, Gateway)> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let gateway = Gateway::start(&topology, &format!("{prefix}path"), datapath)?;
    Ok((topology, gateway))
}
