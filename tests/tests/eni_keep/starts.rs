//! A start on a host that does not fit: what fits is kept, the rest is waited for.

use std::time::Duration;

use anyhow::{Result, ensure};
use snat_tests::{
    eni::section,
    topology::{
        enis::{ETH0, ETH1, Enis},
        unique_prefix,
    },
};

use super::kept::Kept;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_start_waits_until_others_have_made_room() -> Result<()> {
    let prefix = unique_prefix();
    let enis = Enis::build(&prefix)?;
    enis.vm
        .ip("rule add priority 20450 from 192.0.2.7 lookup 77")?;
    let kept = Kept::of(enis, &prefix, &section(&ETH1, ""))?;
    kept.says(
        "there is `from 192.0.2.7 lookup 77 priority 20450`",
        PATIENCE,
    )?;
    ensure!(kept.ours()?.is_empty(), "something of ours beside others'");
    kept.ip("rule del priority 20450 from 192.0.2.7 lookup 77")?;
    kept.says("repaired: + -4 rule from 172.16.20.193", PATIENCE)?;
    kept.ctl.done("verify").map(drop)
}

#[test]
fn an_interface_that_does_not_fit_keeps_nobody_else_from_being_kept() -> Result<()> {
    let prefix = unique_prefix();
    let wrong = section(&ETH0, "").replace("172.16.10.253", "10.9.9.9");
    let config = wrong + &section(&ETH1, "");
    let kept = Kept::of(Enis::build(&prefix)?, &prefix, &config)?;
    kept.says("eth0: the gateway 10.9.9.9 is not on its link", PATIENCE)?;
    kept.ip("rule del priority 20400 from 172.16.20.193")?;
    kept.says("repaired: + -4 rule from 172.16.20.193", PATIENCE)?;
    let verified = kept.ctl.run("verify")?.expect(3)?;
    let told = verified
        .stdout
        .contains("WRONG  eth0: the gateway 10.9.9.9");
    ensure!(told, "{}", verified.stdout);
    Ok(())
}
