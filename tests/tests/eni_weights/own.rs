//! The host's own connections.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use snat_tests::{
    observe::Objects,
    topology::enis::ETH0,
    wait,
    whoami::{Client, Counts, expect_share},
};

use crate::host::{BY_ETH0, BY_ETH1, Host, TCP, TCP6, UDP, UDP6};

/// Of 1,000 the share has a standard deviation of 1.4 points: six of them happen to nobody.
pub(crate) const OF_A_THOUSAND: f64 = 8.2;

#[test]
fn ten_thousand_connections_are_shared_and_stay_while_weights_change() -> Result<()> {
    let host = Host::applied([3, 1])?;
    let mut old = host.clients(200)?;
    let counts = host.connections(TCP, 10_000)?;
    ensure!(counts.values().sum::<u64>() == 10_000, "{counts:?}");
    expect_share(&counts, BY_ETH0, 75.0, 2.0)?;
    expect_share(&counts, BY_ETH1, 25.0, 2.0)?;

    let begun = |eni: IpAddr| old.iter().filter(|(began, _)| *began == eni).count() as u64;
    let [by_eth0, by_eth1] = [BY_ETH0, BY_ETH1].map(|eni| counts[&eni] + begun(eni));
    let status = host.status()?;
    ensure!(status == [(3, by_eth0), (1, by_eth1)], "{status:?}");

    let counts = while_talking(&mut old, || {
        host.apply([1, 3])?;
        host.connections(TCP, 10_000)
    })?;
    expect_share(&counts, BY_ETH0, 25.0, 2.0)?;
    expect_share(&counts, BY_ETH1, 75.0, 2.0)?;
    let weights: Vec<_> = host.status()?.iter().map(|(weight, _)| *weight).collect();
    ensure!(weights == [1, 3], "{weights:?}");
    stay(&mut old)
}

/// Does it while each of these asks again and again, and is answered as whom it began.
fn while_talking(
    clients: &mut [(IpAddr, Client)],
    body: impl FnOnce() -> Result<Counts>,
) -> Result<Counts> {
    let done = AtomicBool::new(false);
    let (talked, counts) = thread::scope(|scope| {
        let talking = scope.spawn(|| -> Result<u32> {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                stay(clients)?;
                rounds += 1;
            }
            Ok(rounds)
        });
        let counts = body();
        done.store(true, Ordering::Relaxed);
        let talked = talking.join();
        let talked = talked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (talked, counts)
    });
    let rounds = talked?;
    ensure!(rounds > 5, "only {rounds} rounds were talked meanwhile");
    counts
}

pub(crate) fn stay(clients: &mut [(IpAddr, Client)]) -> Result<()> {
    for (began, client) in clients {
        let now = client.ask()?;
        ensure!(now == *began, "began as {began}, is {now}");
    }
    Ok(())
}

#[test]
fn connections_by_ipv6_and_datagrams_of_both_families_are_shared() -> Result<()> {
    let host = Host::applied([3, 1])?;
    let by_eth0_v6 = ETH0.addr6.into();
    expect_share(
        &host.connections(TCP6, 1000)?,
        by_eth0_v6,
        75.0,
        OF_A_THOUSAND,
    )?;
    expect_share(&host.datagrams(UDP, 1000)?, BY_ETH0, 75.0, OF_A_THOUSAND)?;
    expect_share(
        &host.datagrams(UDP6, 1000)?,
        by_eth0_v6,
        75.0,
        OF_A_THOUSAND,
    )
}

#[test]
fn what_is_removed_leaves_no_program_map_or_link() -> Result<()> {
    let host = Host::applied([1, 3])?;
    let pins = host.pins()?;
    let objects = Objects::pinned(&pins)?;
    ensure!(objects.links.len() == 5, "{objects:?}");
    ensure!(objects.alive()? == objects, "{objects:?}");
    let mut old = host.clients(20)?;

    host.ctl.done("remove")?;
    ensure!(!pins.exists(), "{} is there", pins.display());
    wait::until(Duration::from_secs(10), "all of it gone", || {
        let alive = objects.alive()?;
        ensure!(alive == Objects::default(), "{alive:?}");
        Ok(())
    })?;
    let counts = host.connections(TCP, 100)?;
    ensure!(counts == Counts::from([(BY_ETH0, 100)]), "{counts:?}");
    // Without its rule a mark leads nowhere else, so only those by the default route go on.
    old.retain(|(began, _)| *began == BY_ETH0);
    stay(&mut old)
}
