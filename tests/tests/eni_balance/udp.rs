//! Datagrams: sockets that connect, that do not, and servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{
    getsockopt, setsockopt,
    sockopt::{BindToDevice, Mark},
};
use socket2::{Domain, Socket, Type};

use crate::world::{ETH0, ETH0_V6, ETH1, ETH1_V6, MARKS, PATIENCE, UDP, World};

/// A client's socket: no address and no port of its own.
fn client() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Whom the server says it has heard.
fn ask(socket: &UdpSocket) -> Result<IpAddr> {
    if socket.peer_addr().is_ok() {
        socket.send(b"?")?;
    } else {
        socket.send_to(b"?", UDP)?;
    }
    let mut answer = [0; 100];
    let len = socket.recv(&mut answer).context("no answer")?;
    let text = std::str::from_utf8(&answer[..len])?;
    let (peer, _) = text.split_once(' ').context("no address")?;
    Ok(peer.parse::<SocketAddr>()?.ip())
}

/// How many of 100 sockets are heard from `ETH1`; each must be from one address all the while.
fn shares(world: &World, connected: bool) -> Result<usize> {
    world.host.enter(|| {
        let sockets: Vec<_> = (0..100).map(|_| client()).collect::<Result<_>>()?;
        let mut seen = Vec::new();
        for socket in &sockets {
            if connected {
                socket.connect(UDP)?;
            }
            seen.push(ask(socket)?);
        }
        // The weights turn round; the sockets do not.
        world.share([3, 1])?;
        for (socket, first) in sockets.iter().zip(&seen) {
            for _ in 0..5 {
                let now = ask(socket)?;
                ensure!(now == *first, "first from {first}, then from {now}");
            }
        }
        Ok(seen.iter().filter(|addr| **addr == ETH1).count())
    })
}

#[test]
fn datagrams_of_a_socket_that_never_connects_all_leave_by_one_eni() -> Result<()> {
    let world = World::new()?;
    world.share([1, 3])?;
    let from_eth1 = shares(&world, false)?;
    ensure!((55..=95).contains(&from_eth1), "{from_eth1} of 100");
    Ok(())
}

#[test]
fn connected_sockets_are_shared_and_stay() -> Result<()> {
    let world = World::new()?;
    world.share([1, 3])?;
    let from_eth1 = shares(&world, true)?;
    ensure!((55..=95).contains(&from_eth1), "{from_eth1} of 100");
    Ok(())
}

#[test]
fn a_server_on_the_wildcard_address_answers_as_without_us() -> Result<()> {
    let world = World::new()?;
    world.share([0, 1])?;
    for (wildcard, addr) in [
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), ETH0),
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), ETH0_V6),
    ] {
        let server = world.host.enter(|| Ok(UdpSocket::bind((wildcard, 53))?))?;
        server.set_read_timeout(Some(PATIENCE))?;
        let client = world.server.enter(|| {
            let any = match addr {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            let client = UdpSocket::bind((any, 0))?;
            client.connect((addr, 53))?;
            Ok(client)
        })?;
        client.set_read_timeout(Some(PATIENCE))?;
        for _ in 0..10 {
            client.send(b"question")?;
            let (len, peer) = server.recv_from(&mut [0; 100])?;
            ensure!(len == 8, "{len} bytes came");
            server.send_to(b"answer", peer)?;
            // A connected socket takes an answer from nobody but whom it asked.
            client
                .recv(&mut [0; 100])
                .with_context(|| format!("no answer from {addr}"))?;
        }
        drop(server);
    }
    Ok(())
}

#[test]
fn an_address_of_its_own_is_kept() -> Result<()> {
    let world = World::new()?;
    world.share([0, 1])?;
    for (family, addr, mark) in [
        (Domain::IPV4, ETH0, 0),
        (Domain::IPV6, ETH0_V6, 0),
        (Domain::IPV6, ETH1_V6, 0),
        (Domain::IPV4, IpAddr::V4(Ipv4Addr::UNSPECIFIED), MARKS[1]),
        (Domain::IPV6, IpAddr::V6(Ipv6Addr::UNSPECIFIED), MARKS[1]),
    ] {
        let found = world.host.enter(|| {
            let socket = Socket::new(family, Type::DGRAM, None)?;
            socket.bind(&SocketAddr::new(addr, 0).into())?;
            Ok(getsockopt(&socket, Mark)?)
        })?;
        ensure!(found == mark, "{addr}: mark {found:#x}");
    }
    Ok(())
}

#[test]
fn a_mark_of_the_applications_own_is_left_alone() -> Result<()> {
    let world = World::new()?;
    world.share([0, 1])?;
    world.host.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        let mark = || getsockopt(&socket, Mark);
        ensure!(mark()? == MARKS[1], "not marked: {:#x}", mark()?);
        setsockopt(&socket, Mark, &5)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5353)).into())?;
        ensure!(mark()? == 5, "after bind: {:#x}", mark()?);
        socket.connect(&UDP.into())?;
        ensure!(mark()? == 5, "after connect: {:#x}", mark()?);
        Ok(())
    })
}

#[test]
fn what_stays_on_this_link_or_is_bound_to_a_device_has_no_mark() -> Result<()> {
    let world = World::new()?;
    world.share([0, 1])?;
    let mark_to = |dst: SocketAddr, device: Option<&str>| {
        world.host.enter(|| {
            let socket = Socket::new(Domain::for_address(dst), Type::DGRAM, None)?;
            if let Some(device) = device {
                setsockopt(&socket, BindToDevice, &device.into())?;
            }
            socket
                .connect(&dst.into())
                .with_context(|| format!("connecting to {dst}"))?;
            Ok(getsockopt(&socket, Mark)?)
        })
    };
    for near in [
        "127.0.0.1:53",
        "169.254.169.254:53",
        "224.0.0.251:53",
        "[::1]:53",
    ] {
        let mark = mark_to(near.parse()?, None)?;
        ensure!(mark == 0, "{near}: {mark:#x}");
    }
    ensure!(mark_to(UDP, None)? == MARKS[1], "not marked");
    ensure!(
        mark_to(UDP, Some("eth0"))? == 0,
        "marked though bound to eth0"
    );

    // What never connects keeps its mark, and still goes where its device says.
    let source = world.host.enter(|| {
        let socket = client()?;
        setsockopt(&socket, BindToDevice, &"eth0".into())?;
        ask(&socket)
    })?;
    ensure!(source == ETH0, "from {source}");
    ensure!(ask_as(&world)? == ETH1, "not shared at all");
    Ok(())
}

fn ask_as(world: &World) -> Result<IpAddr> {
    world.host.enter(|| ask(&client()?))
}
