//! Next hops: found when first needed, followed when they change, and told when there is none.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Capture, Direction},
    gateway::{Gateway, config},
    link::{self, connect, end},
    netns::Netns,
    ping::ping,
    raw::{IcmpInbox, NETWORK_UNREACHABLE},
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::ECHO,
    udp::UdpEcho,
    wait,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// A cached route without anybody to tell that it changed: 17 s, and a busy machine.
const CACHE: Duration = Duration::from_secs(30);
/// Far from what a cached route would take: a notification and a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

macro_rules! first_packet {
    ($($name:ident: $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            first_packets_arrive($datapath, Shape::$shape)
        })+
    };
}

first_packet! {
    the_first_packet_waits_for_its_neighbour_xdp_one_arm: "xdp", OneArm;
    the_first_packet_waits_for_its_neighbour_xdp_routed: "xdp", Routed;
    the_first_packet_waits_for_its_neighbour_xdp_generic_one_arm: "xdp-generic", OneArm;
    the_first_packet_waits_for_its_neighbour_xdp_generic_routed: "xdp-generic", Routed;
    the_first_packet_waits_for_its_neighbour_tc_one_arm: "tc", OneArm;
    the_first_packet_waits_for_its_neighbour_tc_routed: "tc", Routed;
}

fn first_packets_arrive(datapath: &str, shape: Shape) -> Result<()> {
    let (topology, gateway) = start(datapath, shape)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let [first, second] = &topology.clients;
    let forget = || topology.gateway.netns.ip("neigh flush all");
    forget()?;
    ping(&first.netns, topology.server.addr, 1, 1).context("the first ping")?;
    forget()?;
    let client = Client::new(&second.netns, &topology, 4000)?;
    client
        .ask(PATIENCE)
        .context("the first datagram of a flow")?;
    forget()?;
    client
        .ask(PATIENCE)
        .context("a datagram of a flow that has a next hop")?;
    ensure!(gateway.flows()?.len() == 2, "{:?}", gateway.flows()?);
    Ok(())
}

#[test]
fn a_neighbours_new_address_is_followed_at_once_xdp() -> Result<()> {
    new_address_is_followed("xdp", |_| Ok(()), AT_ONCE)
}

#[test]
fn a_neighbours_new_address_is_followed_at_once_tc() -> Result<()> {
    new_address_is_followed("tc", |_| Ok(()), AT_ONCE)
}

#[test]
fn without_the_daemon_a_neighbours_new_address_is_followed_later() -> Result<()> {
    new_address_is_followed("xdp", Gateway::stop, CACHE)
}

/// The provider's router gets another link-layer address, and says so as a failover does.
fn new_address_is_followed(
    datapath: &str,
    prepare: impl Fn(&mut Gateway) -> Result<()>,
    within: Duration,
) -> Result<()> {
    let (topology, mut gateway) = start(datapath, Shape::Routed)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let client = Client::new(&topology.clients[0].netns, &topology, 4000)?;
    client.ask(PATIENCE)?;
    prepare(&mut gateway)?;
    client.ask(PATIENCE)?;
    let isp = &topology.fabric[1];
    // The kernel itself ignores a new address for a second after the last: here that was just now.
    topology
        .gateway
        .netns
        .sysctl("net/ipv4/neigh/eth0/locktime", "0")?;
    isp.sysctl("net/ipv4/conf/gw/arp_notify", "1")?;
    isp.ip("link set gw address 02:00:00:00:00:99")?;
    wait::until(within, "the flow reaches the new address", || {
        client.ask(Duration::from_millis(100))
    })?;
    ensure!(gateway.flows()?.len() == 1, "{:?}", gateway.flows()?);
    Ok(())
}

#[test]
fn a_new_route_is_followed_at_once_xdp() -> Result<()> {
    new_route_is_followed("xdp", |_| Ok(()), AT_ONCE)
}

#[test]
fn a_new_route_is_followed_at_once_tc() -> Result<()> {
    new_route_is_followed("tc", |_| Ok(()), AT_ONCE)
}

#[test]
fn without_the_daemon_a_new_route_is_followed_later() -> Result<()> {
    new_route_is_followed("tc", Gateway::stop, CACHE)
}

/// A second line to the provider becomes the default route; an open flow takes it, its address kept.
fn new_route_is_followed(
    datapath: &str,
    prepare: impl Fn(&mut Gateway) -> Result<()>,
    within: Duration,
) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let (gw, isp) = (&topology.gateway.netns, &topology.fabric[1]);
    connect(
        end(gw, "eth2", [192, 0, 2, 2], 30),
        end(isp, "gw2", [192, 0, 2, 1], 30),
    )?;
    link::offloads_off(gw, "eth2")?;
    link::offloads_off(isp, "gw2")?;
    link::receive_from_xdp(isp, "gw2")?;
    let name = format!("{prefix}next");
    let config = config(&topology, &name, datapath).replace("\"eth1\"]", "\"eth1\", \"eth2\"]");
    let mut gateway = Gateway::start_with(&topology, &name, &config)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let client = Client::new(&topology.clients[0].netns, &topology, 4000)?;
    let before = client.ask(PATIENCE)?;
    prepare(&mut gateway)?;

    gw.ip("route replace default via 192.0.2.1")?;
    wait::until(within, "packets take the new line", || {
        let line = Capture::start(isp, "gw2")?;
        let after = client.ask(Duration::from_millis(200))?;
        ensure!(after == before, "{before} became {after}");
        let sources = line.finish()?.sources(Direction::In);
        ensure!(
            sources.contains_key(&topology.external),
            "on the new line: {sources:?}"
        );
        Ok(())
    })
}

#[test]
fn where_there_is_no_route_the_client_is_told_xdp() -> Result<()> {
    no_route_is_told("xdp")
}

#[test]
fn where_there_is_no_route_the_client_is_told_tc() -> Result<()> {
    no_route_is_told("tc")
}

fn no_route_is_told(datapath: &str) -> Result<()> {
    let (topology, _gateway) = start(datapath, Shape::Routed)?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let client = Client::new(&topology.clients[0].netns, &topology, 4000)?;
    client.ask(PATIENCE)?;
    topology.gateway.netns.ip("route del default")?;
    let mut inbox = IcmpInbox::open(&topology.clients[0].netns)?;
    let fresh = Client::new(&topology.clients[0].netns, &topology, 4001)?;
    for (what, client) in [("a flow that was open", &client), ("a new one", &fresh)] {
        wait::until(Duration::from_secs(2), what, || {
            client.send()?;
            let error = inbox.next(NETWORK_UNREACHABLE, Duration::from_millis(300))?;
            ensure!(error.from == topology.gateway.addr, "{error:?}");
            ensure!(error.about_src == topology.clients[0].addr, "{error:?}");
            ensure!(error.about_dst == topology.server.addr, "{error:?}");
            Ok(())
        })?;
        inbox.clear()?;
    }
    Ok(())
}

#[test]
fn a_bypassed_destination_is_reached_untranslated_in_both_directions() -> Result<()> {
    let (topology, gateway) = start("xdp", Shape::Routed)?;
    let isp = &topology.fabric[1];
    let inner = Ipv4Addr::new(172, 20, 0, 1);
    isp.ip("addr add 172.20.0.1/32 dev lo")?;
    topology
        .gateway
        .netns
        .ip("route add 172.20.0.0/16 via 203.0.113.1")?;
    let bind = |netns: &Netns, addr| -> Result<UdpSocket> {
        let socket = netns.enter(|| Ok(UdpSocket::bind((addr, 4000))?))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    };
    let client = bind(&topology.clients[0].netns, topology.clients[0].addr)?;
    let other = bind(isp, inner)?;
    let mut buffer = [0; 64];
    for (from, to) in [(&client, &other), (&other, &client)] {
        from.send_to(b"there", to.local_addr()?)?;
        let (_, seen) = to.recv_from(&mut buffer).context("there")?;
        ensure!(seen == from.local_addr()?, "seen as {seen}");
        to.send_to(b"back", seen)?;
        let (_, seen) = from.recv_from(&mut buffer).context("back")?;
        ensure!(seen == to.local_addr()?, "answered by {seen}");
    }
    ensure!(gateway.flows()?.is_empty(), "{:?}", gateway.flows()?);
    let counted = gateway.verdict("bypass")?;
    ensure!(counted == 2, "{counted} of the client's two packets");
    Ok(())
}

/// One UDP flow to the echo server.
struct Client {
    socket: UdpSocket,
    server: SocketAddrV4,
}

impl Client {
    fn new(netns: &Netns, topology: &Topology, port: u16) -> Result<Self> {
        // Not connected: an ICMP error shall not end the next call.
        let socket = netns.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?))?;
        let server = SocketAddrV4::new(topology.server.addr, ECHO);
        Ok(Self { socket, server })
    }

    /// One datagram.
    fn send(&self) -> Result<()> {
        self.socket.send_to(b"?", self.server)?;
        Ok(())
    }

    /// One datagram there and back; who the server says we are.
    fn ask(&self, patience: Duration) -> Result<String> {
        self.socket.set_read_timeout(Some(patience))?;
        self.send()?;
        let mut answer = [0; 64];
        let len = self.socket.recv(&mut answer).context("no answer")?;
        Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
    }
}

fn start(datapath: &str, shape: Shape) -> Result<(Topology, Gateway)> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let gateway = Gateway::start(&topology, &format!("{prefix}hop"), datapath)?;
    Ok((topology, gateway))
}
