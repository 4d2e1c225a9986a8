//! ICMP errors about translated packets find their way, both ways: traceroute sees beyond the gateway,
//! path-MTU discovery works through it, and a closed port is told.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Capture,
    gateway::Gateway,
    http::HttpServer,
    raw::{
        DONT_FRAGMENT, FRAGMENTATION_NEEDED, IcmpInbox, PORT_UNREACHABLE, Packet, TIME_EXCEEDED,
    },
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::{self, HTTP},
};

const SOON: Duration = Duration::from_secs(3);
const SMALL: u16 = 1300;
/// Where nobody listens.
const PORT: u16 = 9;

macro_rules! everywhere {
    ($($name:ident: $test:ident, $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            let prefix = unique_prefix();
            let topology = Topology::build(Shape::$shape, Offloads::Off, &prefix)?;
            let gateway = Gateway::start(&topology, &format!("{prefix}err"), $datapath)?;
            $test(&topology, &gateway, Shape::$shape)
        })+
    };
}

everywhere! {
    a_hop_beyond_the_gateway_is_seen_xdp: hop_beyond_is_seen, "xdp", Routed;
    a_hop_beyond_the_gateway_is_seen_xdp_one_arm: hop_beyond_is_seen, "xdp", OneArm;
    a_hop_beyond_the_gateway_is_seen_xdp_generic: hop_beyond_is_seen, "xdp-generic", Routed;
    a_hop_beyond_the_gateway_is_seen_tc: hop_beyond_is_seen, "tc", Routed;
    a_hop_beyond_the_gateway_is_seen_tc_one_arm: hop_beyond_is_seen, "tc", OneArm;
    a_smaller_path_beyond_is_found_xdp: smaller_path_beyond_is_found, "xdp", Routed;
    a_smaller_path_beyond_is_found_xdp_generic: smaller_path_beyond_is_found, "xdp-generic", Routed;
    a_smaller_path_beyond_is_found_tc: smaller_path_beyond_is_found, "tc", Routed;
    a_client_s_closed_port_is_told_xdp: closed_port_is_told, "xdp", Routed;
    a_client_s_closed_port_is_told_tc: closed_port_is_told, "tc", Routed;
}

fn hop_beyond_is_seen(topology: &Topology, gateway: &Gateway, shape: Shape) -> Result<()> {
    // A router behind the gateway, and how many there are up to it. In one arm the next one is also the
    // one before, and would not forward to the client what it has said itself.
    let (hop, ttl) = match shape {
        Shape::OneArm => (Ipv4Addr::new(10, 255, 0, 2), 4),
        Shape::Routed | Shape::TwoEnis => (Ipv4Addr::new(203, 0, 113, 1), 2),
    };
    for client in &topology.clients {
        let mut inbox = IcmpInbox::open(&client.netns)?;
        let (src, dst) = endpoints(client.addr, topology);
        let mut packet = Packet::udp(src, dst, 10);
        packet.ttl = ttl;
        packet.send(&client.netns)?;
        let error = inbox.next(TIME_EXCEEDED, SOON)?;
        ensure!(error.from == hop, "{error:?}");
        ensure!(
            (error.about_src, error.about_dst) == (client.addr, *dst.ip()),
            "{error:?}"
        );
    }
    ensure!(gateway.verdict("error_in")? == 2);
    Ok(())
}

fn smaller_path_beyond_is_found(topology: &Topology, _: &Gateway, _: Shape) -> Result<()> {
    topology.fabric[1].ip(&format!("link set internet mtu {SMALL}"))?;
    topology
        .server
        .netns
        .ip(&format!("link set eth0 mtu {SMALL}"))?;
    let _http = HttpServer::start(&topology.server.netns, HTTP)?;
    let client = &topology.clients[0];
    let mut inbox = IcmpInbox::open(&client.netns)?;
    let (src, dst) = endpoints(client.addr, topology);
    let mut packet = Packet::udp(src, dst, 1472);
    packet.fragment = DONT_FRAGMENT;
    packet.send(&client.netns)?;
    let error = inbox.next(FRAGMENTATION_NEEDED, SOON)?;
    ensure!(
        error.mtu == SMALL && error.from == Ipv4Addr::new(203, 0, 113, 1),
        "{error:?}"
    );
    ensure!(
        (error.about_src, error.about_dst) == (client.addr, *dst.ip()),
        "{error:?}"
    );

    // The second client has not learnt the path's MTU by the above.
    let outside = Capture::start(&topology.server.netns, "eth0")?;
    traffic::upload(&topology.clients[1], &topology.server).context("upload")?;
    traffic::download(&topology.clients[1], &topology.server).context("download")?;
    outside.finish()?.expect_sound()
}

fn closed_port_is_told(topology: &Topology, gateway: &Gateway, _: Shape) -> Result<()> {
    let client = &topology.clients[0];
    let server = SocketAddrV4::new(topology.server.addr, PORT);
    let listener = topology
        .server
        .netns
        .enter(|| Ok(UdpSocket::bind(server)?))?;
    listener.set_read_timeout(Some(SOON))?;
    let socket = client
        .netns
        .enter(|| Ok(UdpSocket::bind((client.addr, 4000))?))?;
    socket.send_to(b"open", server)?;
    let (_, mapped) = listener.recv_from(&mut [0; 64]).context("opening a flow")?;
    drop(socket);

    let mut inbox = IcmpInbox::open(&topology.server.netns)?;
    let before = gateway.flows()?;
    listener.send_to(b"late", mapped)?;
    let error = inbox.next(PORT_UNREACHABLE, SOON)?;
    ensure!(error.from == topology.external, "{error:?}");
    ensure!(
        (error.about_src, error.about_dst) == (*server.ip(), topology.external),
        "{error:?}"
    );
    ensure!(gateway.verdict("error_out")? == 1);
    let after = gateway.flows()?;
    ensure!(
        before.len() == 1 && after.len() == 1,
        "an error opened or ended a flow: {before:?}, then {after:?}"
    );
    Ok(())
}

fn endpoints(client: Ipv4Addr, topology: &Topology) -> (SocketAddrV4, SocketAddrV4) {
    (
        SocketAddrV4::new(client, 4000),
        SocketAddrV4::new(topology.server.addr, PORT),
    )
}
