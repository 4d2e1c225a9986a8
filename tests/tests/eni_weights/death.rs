//! An ENI that dies under `snat-ctl run` takes its own connections with it, until it is back.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    topology::enis::ETH0,
    wait,
    whoami::{Client, Counts, expect_share},
};

use crate::{
    host::{BY_ETH0, BY_ETH1, Host, TCP},
    own::{OF_A_THOUSAND, stay},
};

const A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_eni_that_dies_loses_only_its_own_and_gets_new_ones_when_it_is_back() -> Result<()> {
    let host = Host::new([3, 1])?;
    let _daemon = host.ctl.daemon()?;
    let all = host.clients(60)?;
    let (mut others, mut own): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(began, _)| *began == BY_ETH0);
    ensure!(!others.is_empty() && !own.is_empty(), "all by one");

    without_eth1(&host, &mut others, &mut own).context("without eth1")?;
    with_eth1_again(&host, &mut others, &mut own).context("with eth1 again")
}

type Clients = [(IpAddr, Client)];

fn without_eth1(host: &Host, others: &mut Clients, own: &mut Clients) -> Result<()> {
    let leaving = host.enis.leaving(&[ETH0])?;
    host.enis.vm.ip("link set eth1 down")?;
    let begin = Instant::now();
    own.iter_mut().try_for_each(|(_, client)| client.say())?;
    wait::until(A_SECOND, "all new connections go by eth0", || {
        only_by_eth0(host, 40)
    })?;
    let took = begin.elapsed();
    println!("by eth0 alone {} ms later", took.as_millis());
    ensure!(took < A_SECOND, "by eth0 alone only {took:?} later");

    only_by_eth0(host, 1000)?;
    stay(others)?;
    for (_, client) in own {
        ensure!(!client.has_answer()?, "{BY_ETH1} was answered");
    }
    let by_eth0 = leaving.count()?;
    ensure!(
        by_eth0
            .keys()
            .all(|(_, source)| *source == IpAddr::V4(ETH0.addr)),
        "{by_eth0:?}"
    );
    Ok(())
}

fn with_eth1_again(host: &Host, others: &mut Clients, own: &mut Clients) -> Result<()> {
    host.enis.vm.ip("link set eth1 up")?;
    for (began, client) in &mut *own {
        ensure!(client.hear()? == *began, "not as {began}");
    }
    stay(own)?;
    stay(others)?;
    wait::until(A_SECOND, "new connections go by eth1 too", || {
        let counts = host.connections(TCP, 40)?;
        ensure!(counts.contains_key(&BY_ETH1), "{counts:?}");
        Ok(())
    })?;
    let counts = host.connections(TCP, 1000)?;
    expect_share(&counts, BY_ETH1, 25.0, OF_A_THOUSAND)
}

fn only_by_eth0(host: &Host, count: u32) -> Result<()> {
    let counts = host.connections(TCP, count)?;
    let wanted = Counts::from([(BY_ETH0, count.into())]);
    ensure!(counts == wanted, "{counts:?}");
    Ok(())
}
