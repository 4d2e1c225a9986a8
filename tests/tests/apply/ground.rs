//! A gateway with several external addresses, and its configuration file that a test rewrites.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    scene::{Plan, Scene},
    wait,
};
use socket2::{Domain, Socket, Type};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
pub(crate) const FIRST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub(crate) const SECOND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);

/// Addresses that the gateway has besides its first.
const MORE: [[u8; 4]; 3] = [[203, 0, 113, 11], [203, 0, 113, 12], [203, 0, 113, 13]];

/// One test each for XDP and TC.
macro_rules! datapaths {
    ($($name:ident: $run:ident, $datapath:literal;)+) => {
        $(
            #[test]
            fn $name() -> anyhow::Result<()> {
                $run($datapath)
            }
        )+
    };
}
pub(crate) use datapaths;

/// Translates to the first two addresses; what was ended is gone after two seconds.
pub(crate) fn two_addresses(datapath: &str) -> Plan<'_> {
    Plan {
        external: "[\"203.0.113.10\", \"203.0.113.11\"]",
        sections: "\n[timeouts]\ntcp_closing = \"2s\"\n",
        addresses: &MORE,
        ..Plan::routed(datapath)
    }
}

/// Rewrites the file.
pub(crate) fn edit(scene: &Scene, from: &str, to: &str) -> Result<()> {
    let text = text(scene)?;
    ensure!(text.contains(from), "no {from} in {text}");
    write(scene, &text.replacen(from, to, 1))
}

pub(crate) fn text(scene: &Scene) -> Result<String> {
    Ok(fs::read_to_string(scene.gateway.config())?)
}

pub(crate) fn write(scene: &Scene, text: &str) -> Result<()> {
    Ok(fs::write(scene.gateway.config(), text)?)
}

/// Applies the file as it is now.
pub(crate) fn apply(scene: &Scene) -> Result<Value> {
    let config = scene.gateway.config().display().to_string();
    scene.gateway.ctl_json(&["apply", "--config", &config])
}

/// Rewrites the file, applies it, and returns how many flows that ended.
pub(crate) fn change(scene: &Scene, from: &str, to: &str) -> Result<u64> {
    edit(scene, from, to)?;
    let outcome = apply(scene).with_context(|| format!("{from} -> {to}"))?;
    ensure!(
        outcome["changes"]
            .as_array()
            .is_some_and(|changes| !changes.is_empty()),
        "{from} -> {to} is no change: {outcome}"
    );
    outcome["flows_ended"].as_u64().context("no flows_ended")
}

/// Both ends of a connection, from this address of the first client's.
pub(crate) fn connection(
    scene: &Scene,
    listener: &TcpListener,
    from: Ipv4Addr,
) -> Result<(TcpStream, TcpStream)> {
    let to = listener.local_addr()?;
    let client = scene.topology.clients[0].netns.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddrV4::new(from, 0).into())?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        Ok(TcpStream::from(socket))
    })?;
    let (server, _) = listener.accept()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    Ok((client, server))
}

/// Listens at the server.
pub(crate) fn listen(scene: &Scene, port: u16) -> Result<TcpListener> {
    scene
        .topology
        .server
        .netns
        .enter(|| Ok(TcpListener::bind((SERVER, port))?))
}

/// A byte there and one back.
pub(crate) fn speaks((client, server): &mut (TcpStream, TcpStream)) -> Result<()> {
    client.write_all(b"?")?;
    server.read_exact(&mut [0; 1])?;
    server.write_all(b"!")?;
    Ok(client.read_exact(&mut [0; 1])?)
}

/// Whoever speaks here must be told that the connection is no more.
pub(crate) fn is_reset(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"still there?")?;
    let error = stream.read(&mut [0; 64]).err().context("an answer")?;
    ensure!(error.kind() == ErrorKind::ConnectionReset, "{error}");
    Ok(())
}

/// A client's UDP socket at this port, connected to the server's.
pub(crate) fn datagrams(scene: &Scene, port: u16, to: u16) -> Result<UdpSocket> {
    scene.topology.clients[0].netns.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
        socket.connect((SERVER, to))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    })
}

/// As whom an echo server sees the socket; asked until it answers.
pub(crate) fn seen_as(socket: &UdpSocket) -> Result<SocketAddrV4> {
    socket.send(b"who?")?;
    let mut answer = [0; 128];
    let len = socket
        .recv(&mut answer)
        .context("no answer from the echo server")?;
    let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
    let seen = answer.split(' ').next().unwrap_or_default();
    seen.parse()
        .with_context(|| format!("no address: {answer}"))
}

/// Waits until no flow is left that was ended.
pub(crate) fn ended_are_gone(scene: &Scene) -> Result<()> {
    wait::until(PATIENCE, "ended flows are removed", || {
        let flows = scene.gateway.flows()?;
        ensure!(flows.iter().all(|flow| flow.state != "ended"), "{flows:?}");
        Ok(())
    })
}
