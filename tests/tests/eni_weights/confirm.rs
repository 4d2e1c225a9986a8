//! A change of the shares that nobody confirms.

use std::time::Duration;

use anyhow::{Result, ensure};
use snat_tests::{
    eni::section,
    topology::enis::{ETH0, ETH1},
    wait,
    whoami::expect_share,
};

use crate::{
    host::{BY_ETH0, BY_ETH1, Host, TCP},
    own::OF_A_THOUSAND,
};

#[test]
fn sharing_that_was_ended_and_not_confirmed_comes_back() -> Result<()> {
    let host = Host::applied([3, 1])?;
    let pins = host.pins()?;
    host.ctl
        .configure(&(section(&ETH0, "") + &section(&ETH1, "")))?;
    host.ctl.done("apply --confirm 5s")?;
    ensure!(!pins.exists(), "connections are shared still");
    wait::until(Duration::from_secs(15), "the shares of before", || {
        let weights: Vec<_> = host.status()?.iter().map(|(weight, _)| *weight).collect();
        ensure!(weights == [3, 1] && pins.exists(), "{weights:?}");
        Ok(())
    })?;
    let counts = host.connections(TCP, 1_000)?;
    expect_share(&counts, BY_ETH0, 75.0, OF_A_THOUSAND)?;
    expect_share(&counts, BY_ETH1, 25.0, OF_A_THOUSAND)
}
