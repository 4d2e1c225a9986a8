//! A client reaches another by the external address, and sees it by that alone (RFC 4787 REQ-9, RFC 5382
//! REQ-8, RFC 5508 REQ-7).

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use snat_tests::{
    capture::Capture,
    gateway::{Gateway, config},
    netns::Netns,
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::ECHO,
    udp::UdpEcho,
};

const PATIENCE: Duration = Duration::from_secs(5);

macro_rules! everywhere {
    ($($name:ident: $datapath:literal, $shape:ident;)+) => {
        $(
            #[test]
            fn $name() -> Result<()> {
                hairpin($datapath, Shape::$shape)
            }
        )+
    };
}

everywhere! {
    clients_meet_by_the_external_address_xdp_one_arm: "xdp", OneArm;
    clients_meet_by_the_external_address_xdp_routed: "xdp", Routed;
    clients_meet_by_the_external_address_xdp_generic_one_arm: "xdp-generic", OneArm;
    clients_meet_by_the_external_address_tc_one_arm: "tc", OneArm;
    clients_meet_by_the_external_address_tc_routed: "tc", Routed;
}

fn hairpin(datapath: &str, shape: Shape) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    let external = topology.translated();
    let [first, second] = &topology.clients;
    let full_cone = "external = [\"auto\"]\nmapping = \"endpoint-independent\"\nfiltering = \"endpoint-independent\"";
    let forward = format!(
        "\n[[forward]]\nprotocol = \"tcp\"\nexternal = \"{external}:8443\"\ninternal = \"{}:443\"\n",
        first.addr
    );
    let name = format!("{prefix}hair");
    let config = config(&topology, &name, datapath).replace("external = [\"auto\"]", full_cone);
    let gateway = Gateway::start_with(&topology, &name, &(config + &forward))?;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let server = SocketAddrV4::new(topology.server.addr, ECHO);

    let inside = Capture::start(&first.netns, "eth0")?;
    let one = bound(&first.netns, 5000)?;
    let other = bound(&second.netns, 5000)?;
    let seen_one = mapped(&one, server, external)?;
    let seen_other = mapped(&other, server, external)?;

    for turn in 0..3 {
        tell(
            &other,
            seen_one,
            &one,
            seen_other,
            &format!("to you {turn}"),
        )?;
        tell(
            &one,
            seen_other,
            &other,
            seen_one,
            &format!("and back {turn}"),
        )?;
    }
    // Somebody without a mapping yet gets one by this.
    let third = bound(&second.netns, 6000)?;
    third.send_to(b"hello", seen_one)?;
    let (_, stranger) = received(&one)?;
    ensure!(stranger.ip() == external, "a stranger came as {stranger}");
    tell(&one, stranger, &third, seen_one, "hello yourself")?;

    // The socket closes; its host's ICMP error finds the way back to who spoke.
    drop(one);
    third.connect(seen_one)?;
    third.send(b"anybody there?")?;
    let refused = third.recv(&mut [0; 16]).err().context("an answer")?;
    ensure!(
        refused.kind() == std::io::ErrorKind::ConnectionRefused,
        "{refused}"
    );

    let listener = first
        .netns
        .enter(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 443))?))?;
    for client in [&second.netns, &first.netns] {
        by_tcp(client, SocketAddrV4::new(external, 8443), &listener)?;
    }
    let sources = inside.finish()?.sources(snat_tests::capture::Direction::In);
    ensure!(
        !sources.contains_key(&second.addr),
        "the other client showed its own address: {sources:?}"
    );
    ensure!(gateway.verdict("hairpin")? > 0, "nothing was hairpinned");
    Ok(())
}

fn bound(netns: &Netns, port: u16) -> Result<UdpSocket> {
    let socket = netns.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// As whom the server sees the socket, in terms of the gateway's own external address.
fn mapped(socket: &UdpSocket, server: SocketAddrV4, external: Ipv4Addr) -> Result<SocketAddr> {
    socket.send_to(b"who am I?", server)?;
    let (text, _) = received(socket)?;
    let seen: SocketAddr = text.split(' ').next().unwrap_or_default().parse()?;
    // In one arm the edge has made the EIP of it.
    Ok(SocketAddr::new(external.into(), seen.port()))
}

fn received(socket: &UdpSocket) -> Result<(String, SocketAddr)> {
    let mut buffer = [0; 256];
    let (len, from) = socket.recv_from(&mut buffer).context("nothing came")?;
    Ok((String::from_utf8_lossy(&buffer[..len]).into_owned(), from))
}

fn tell(
    from: &UdpSocket,
    to: SocketAddr,
    listener: &UdpSocket,
    appears_as: SocketAddr,
    text: &str,
) -> Result<()> {
    from.send_to(text.as_bytes(), to)?;
    let (heard, who) = received(listener).with_context(|| format!("{text:?}, sent to {to}"))?;
    if (heard.as_str(), who) == (text, appears_as) {
        return Ok(());
    }
    bail!("{heard:?} from {who}, not {text:?} from {appears_as}")
}

fn by_tcp(client: &Netns, to: SocketAddrV4, listener: &TcpListener) -> Result<()> {
    let mut stream = client.enter(|| {
        TcpStream::connect_timeout(&to.into(), PATIENCE)
            .with_context(|| format!("connecting from {} to {to}", client.name()))
    })?;
    let (mut accepted, peer) = listener.accept()?;
    ensure!(peer.ip() == *to.ip(), "the peer came as {peer}");
    for end in [&stream, &accepted] {
        end.set_read_timeout(Some(PATIENCE))?;
    }
    let mut heard = [0; 5];
    stream.write_all(b"there")?;
    accepted.read_exact(&mut heard)?;
    ensure!(&heard == b"there");
    accepted.write_all(b"again")?;
    stream.read_exact(&mut heard)?;
    ensure!(&heard == b"again");
    Ok(())
}
