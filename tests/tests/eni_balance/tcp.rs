//! Connections.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{getsockopt, setsockopt, sockopt::Mark};
use snat_ctl::eni::balance;
use snat_tests::{
    netns::Netns,
    whoami::{Client, Counts, expect_share},
};
use socket2::{Domain, Socket, Type};

use crate::world::{ETH0, ETH0_V6, ETH1, ETH1_V6, MARKS, PATIENCE, TCP, TCP_V6, World};

#[test]
fn ten_thousand_connections_to_one_server_split_three_to_one() -> Result<()> {
    let world = World::new()?;
    world.share([3, 1])?;
    let counts = world.connections(TCP, 10_000)?;
    ensure!(counts.values().sum::<u64>() == 10_000, "{counts:?}");
    expect_share(&counts, ETH0, 75.0, 2.0)?;
    expect_share(&counts, ETH1, 25.0, 2.0)?;

    let chosen = balance::chosen(&world.pins)?.context("nothing is installed")?;
    let chosen: Vec<_> = chosen
        .iter()
        .map(|(slot, count)| (slot.mark, *count))
        .collect();
    ensure!(
        chosen == [(MARKS[0], counts[&ETH0]), (MARKS[1], counts[&ETH1])],
        "{chosen:?} were chosen, the server saw {counts:?}"
    );
    Ok(())
}

#[test]
fn ipv6_connections_are_shared_and_mapped_ones_go_as_ipv4() -> Result<()> {
    let world = World::new()?;
    world.share([3, 1])?;
    let counts = world.connections(TCP_V6, 2000)?;
    expect_share(&counts, ETH0_V6, 75.0, 5.0)?;
    expect_share(&counts, ETH1_V6, 25.0, 5.0)?;

    world.share([0, 1])?;
    let mapped = world.host.enter(|| {
        let server = format!("[::ffff:{}]:{}", TCP.ip(), TCP.port()).parse()?;
        Client::connect(server)?.ask()
    })?;
    ensure!(mapped == ETH1, "from {mapped}");
    Ok(())
}

#[test]
fn connections_stay_where_they_began_while_weights_change() -> Result<()> {
    let world = World::new()?;
    world.share([3, 1])?;
    let mut old = world.clients(TCP, 200)?;
    let began: Vec<_> = old.iter_mut().map(Client::ask).collect::<Result<_>>()?;
    for eni in [ETH0, ETH1] {
        ensure!(began.contains(&eni), "none from {eni}");
    }

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let changes = scope.spawn(|| change_until(&world, &done));
        let talked = (0..20).try_for_each(|_| stay(&mut old, &began));
        let opened = world.connections(TCP, 2000);
        done.store(true, Ordering::Relaxed);
        changes
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        talked.and(opened.map(drop))
    })?;
    let chosen = balance::chosen(&world.pins)?.context("nothing is installed")?;
    let chosen: u64 = chosen.iter().map(|(_, count)| count).sum();
    ensure!(chosen == 2200, "of 2200 connections {chosen} were shared");

    world.share([1, 3])?;
    let counts = world.connections(TCP, 2000)?;
    expect_share(&counts, ETH1, 75.0, 5.0)?;
    stay(&mut old, &began)
}

/// Turns the weights round again and again, a hundred times at least.
fn change_until(world: &World, done: &AtomicBool) -> Result<()> {
    let mut changes = 0;
    while !done.load(Ordering::Relaxed) || changes < 100 {
        world.share([[1, 3], [3, 1]][changes % 2])?;
        changes += 1;
    }
    Ok(())
}

fn stay(clients: &mut [Client], began: &[IpAddr]) -> Result<()> {
    for (client, began) in clients.iter_mut().zip(began) {
        let now = client.ask()?;
        ensure!(now == *began, "began as {began}, is {now}");
    }
    Ok(())
}

#[test]
fn an_eni_with_weight_0_gets_nothing_new_and_keeps_what_it_has() -> Result<()> {
    let world = World::new()?;
    world.share([0, 1])?;
    let mut old = world.clients(TCP, 20)?;
    let began = vec![ETH1; old.len()];
    stay(&mut old, &began)?;

    world.share([1, 0])?;
    let counts = world.connections(TCP, 1000)?;
    ensure!(counts == Counts::from([(ETH0, 1000)]), "{counts:?}");
    stay(&mut old, &began)
}

#[test]
fn an_eni_that_dies_loses_only_its_own() -> Result<()> {
    let world = World::new()?;
    world.share([1, 1])?;
    let mut clients = world.clients(TCP, 50)?;
    let mut others = Vec::new();
    for mut client in clients.drain(..) {
        if client.ask()? == ETH0 {
            others.push(client);
        }
    }
    ensure!(!others.is_empty(), "none from {ETH0}");
    world.router.ip("link set vpc1 down")?;
    let began = vec![ETH0; others.len()];
    (0..5).try_for_each(|_| stay(&mut others, &began))
}

#[test]
fn a_mark_or_an_address_of_the_applications_own_is_left_alone() -> Result<()> {
    let world = World::new()?;
    world.share([0, 1])?;
    let connect = |mark: u32, addr: Option<IpAddr>| {
        world.host.enter(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            if mark != 0 {
                setsockopt(&socket, Mark, &mark)?;
            }
            if let Some(addr) = addr {
                socket.bind(&SocketAddr::new(addr, 0).into())?;
            }
            socket.connect_timeout(&TCP.into(), PATIENCE)?;
            let source = Client::new(TcpStream::from(socket.try_clone()?))?.ask()?;
            Ok((source, getsockopt(&socket, Mark)?))
        })
    };
    // By the main table, and by the rule for that very mark.
    for (mark, addr, source) in [
        (5, None, ETH0),
        (MARKS[0], None, ETH0),
        (0, Some(ETH0), ETH0),
        (0, Some(ETH1), ETH1),
    ] {
        let found = connect(mark, addr)?;
        ensure!(
            found == (source, mark),
            "mark {mark:#x}, {addr:?}: {found:x?}"
        );
    }
    let found = connect(0, None)?;
    ensure!(found == (ETH1, MARKS[1]), "a plain one: {found:x?}");
    Ok(())
}

#[test]
fn sockets_of_another_namespace_are_left_alone() -> Result<()> {
    let world = World::new()?;
    world.share([0, 1])?;
    let other = World::new()?;
    let mark = |netns: &Netns| netns.enter(|| Ok(getsockopt(&TcpStream::connect(TCP)?, Mark)?));
    ensure!(mark(&other.host)? == 0, "marked");
    ensure!(mark(&world.host)? == MARKS[1], "not marked");

    // Nor do two that share, each for itself, get into each other's way.
    other.share([1, 0])?;
    ensure!(mark(&other.host)? == MARKS[0] && mark(&world.host)? == MARKS[1]);
    balance::remove(&other.pins)?;
    ensure!(mark(&other.host)? == 0 && mark(&world.host)? == MARKS[1]);
    Ok(())
}
