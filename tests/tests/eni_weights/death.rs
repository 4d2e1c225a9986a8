//! An ENI that dies under `snat-ctl run` takes its own connections with it, until it is back.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    topology::enis::{ETH0, ETH1, Eni},
    wait,
    whoami::{Client, Counts, expect_share},
};

use crate::{
    host::{Host, TCP},
    own::{OF_A_THOUSAND, stay},
};

/// A second on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection takes far less than a millisecond.
const AT_ONCE: Duration = Duration::from_millis(250);

#[test]
fn an_eni_that_dies_loses_only_its_own_and_gets_new_ones_when_it_is_back() -> Result<()> {
    dies(ETH1, ETH0, 25.0, set_link)
}

#[test]
fn so_it_is_with_one_that_loses_its_carrier() -> Result<()> {
    dies(ETH1, ETH0, 25.0, set_cable)
}

#[test]
fn so_it_is_with_the_eni_of_the_default_route() -> Result<()> {
    dies(ETH0, ETH1, 75.0, set_link)
}

fn set_link(host: &Host, eni: Eni, state: &str) -> Result<()> {
    host.enis.vm.ip(&format!("link set {} {state}", eni.dev))
}

fn set_cable(host: &Host, eni: Eni, state: &str) -> Result<()> {
    host.enis
        .vpc
        .ip(&format!("link set {} {state}", eni.subnet))
}

/// `set` takes an ENI `down` and `up`; `share` is that of the one which dies.
fn dies(
    dead: Eni,
    other: Eni,
    share: f64,
    set: impl Fn(&Host, Eni, &str) -> Result<()>,
) -> Result<()> {
    let host = Host::new([3, 1])?;
    let _daemon = host.ctl.daemon()?;
    let all = host.clients(60)?;
    let (mut own, mut others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(began, _)| *began == dead.eip);
    ensure!(!others.is_empty() && !own.is_empty(), "all by one");

    let leaving = host.enis.leaving(&[other])?;
    set(&host, dead, "down")?;
    all_by(&host, other, &mut own).context("right after its death")?;
    stay(&mut others)?;
    for (_, client) in &own {
        ensure!(!client.has_answer()?, "{} was answered", dead.dev);
    }
    let by_other = leaving.count()?;
    ensure!(
        by_other.keys().all(|(_, source)| *source == other.addr),
        "{by_other:?}"
    );

    set(&host, dead, "up")?;
    go_on(&mut own).context("when it is back")?;
    stay(&mut others)?;
    wait::until(PATIENCE, "new connections go by both", || {
        let counts = host.connections(TCP, 40)?;
        ensure!(counts.len() == 2, "{counts:?}");
        Ok(())
    })?;
    let counts = host.connections(TCP, 1000)?;
    expect_share(&counts, dead.eip.into(), share, OF_A_THOUSAND)
}

type Clients = [(IpAddr, Client)];

/// Fails unless soon all new connections go by this one, and none fails. `lost` speak meanwhile.
fn all_by(host: &Host, other: Eni, lost: &mut Clients) -> Result<()> {
    let begin = Instant::now();
    lost.iter_mut().try_for_each(|(_, client)| client.say())?;
    wait::until(PATIENCE, "all new connections go by the other", || {
        // Without long patience: one that is lost in the last moment waits for seconds.
        let new = |_| Client::connect_within(AT_ONCE, TCP)?.ask();
        let seen: Vec<_> = host.enis.vm.enter(|| (0..40).map(new).collect())?;
        ensure!(seen.iter().all(|addr| *addr == other.eip), "{seen:?}");
        Ok(())
    })?;
    let took = begin.elapsed().as_millis();
    println!("by {} alone {took} ms later", other.dev);
    let counts = host.connections(TCP, 1000)?;
    let wanted = Counts::from([(other.eip.into(), 1000)]);
    ensure!(counts == wanted, "{counts:?}");
    Ok(())
}

/// What they said while it was away is answered now, for TCP says it again.
fn go_on(clients: &mut Clients) -> Result<()> {
    for (began, client) in &mut *clients {
        let now = client.hear()?;
        ensure!(now == *began, "began as {began}, is {now}");
    }
    stay(clients)
}
