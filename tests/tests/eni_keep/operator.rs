//! What the operator does while the daemon runs, and the daemon's own end.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use snat_tests::{
    eni::{Snapshot, section},
    topology::enis::{ETH1, Eni},
};

use super::{
    connections::Connections,
    kept::{A_SECOND, Kept, PATIENCE, expect_same},
    rule_of_eth1,
    watched::Watched,
};

#[test]
fn the_end_and_the_next_start_of_the_daemon_change_nothing() -> Result<()> {
    let mut kept = Kept::eth1()?;
    for killed in [false, true] {
        let connections = Connections::open(&kept.enis)?;
        let before = Snapshot::take(&kept.enis.vm)?;
        if killed {
            kept.daemon.kill()?;
        } else {
            kept.daemon.stop()?;
        }
        Snapshot::take(&kept.enis.vm)?.expect_as(&before)?;
        let plan = kept.ctl.json("plan")?;
        let changes = plan["changes"].as_array().map(Vec::len);
        ensure!(changes == Some(0), "it would change something: {plan}");
        kept.daemon.start_again()?;
        // Now it keeps them: what comes next it must have looked at.
        kept.ip(&format!("rule del {}", rule_of_eth1()))?;
        kept.says("repaired: ", PATIENCE)?;
        let log = kept.daemon.log();
        ensure!(kept.repairs() == 1, "more was repaired than broken: {log}");
        Snapshot::take(&kept.enis.vm)?.expect_lines_of(&before)?;
        connections.finish()?;
    }
    Ok(())
}

#[test]
fn what_happened_without_a_daemon_is_repaired_at_its_next_start() -> Result<()> {
    let mut kept = Kept::eth1()?;
    let whole = kept.ours()?;
    kept.daemon.kill()?;
    kept.ip(&format!("rule del {}", rule_of_eth1()))?;
    kept.enis.vm.ip("link set eth1 down\nlink set eth1 up")?;
    kept.daemon.start_again()?;
    expect_same(&kept.ours()?, &whole)
}

#[test]
fn what_is_removed_stays_removed_until_it_is_applied_again() -> Result<()> {
    let kept = Kept::eth1()?;
    let whole = kept.ours()?;
    let connections = Connections::open(&kept.enis)?;
    kept.ctl.done("remove")?;
    let end = Instant::now() + A_SECOND;
    while Instant::now() < end {
        kept.ip("link set eth1 down")?;
        kept.ip("link set eth1 up")?;
        expect_same(&kept.ours()?, &[].into())?;
    }
    kept.ctl.done("apply")?;
    expect_same(&kept.ours()?, &whole)?;
    kept.ip(&format!("rule del {}", rule_of_eth1()))?;
    kept.becomes(&whole, PATIENCE)?;
    connections.finish()
}

#[test]
fn another_configuration_that_is_applied_is_kept_from_then_on() -> Result<()> {
    let kept = Kept::eth1()?;
    let elsewhere = Eni {
        table: 2001,
        ..ETH1
    };
    kept.ctl.configure(&section(&elsewhere, "mark = 7"))?;
    kept.ctl.done("apply")?;
    let watched = Watched::begin(&kept)?;
    let of = |old: &str| {
        watched
            .whole()
            .iter()
            .any(|one| one.to_string().contains(old))
    };
    ensure!(of("2001") && !of("1001"), "not in its new table");
    let from = format!("priority 20400 from {}", ETH1.addr);
    watched.whole_after("rule of the new configuration deleted", || {
        kept.ip(&format!("rule del {from}"))
    })?;
    watched.whole_after("table of the new configuration flushed", || {
        kept.ip("route flush table 2001")
    })?;
    kept.ip("link set eth1 down")?;
    watched.whole_after("link up with the new configuration", || {
        kept.ip("link set eth1 up")
    })?;
    kept.becomes(watched.whole(), Duration::ZERO)?;
    watched.eth0_noticed_nothing()
}
