//! While eth1 is away nothing with its sources leaves by eth0: before, during and after.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use snat_tests::{topology::enis::ETH1, wait};

use super::{kept::Kept, watched::Watched};

/// Longer than what came back is waited for.
const FOR_GOOD: Duration = Duration::from_secs(40);
const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// As the kernel has it by default: with the link go its IPv6 addresses, but not the sockets that are bound to them.
fn without_ipv6_on_a_link_that_is_down() -> Result<Kept> {
    let kept = Kept::eth1()?;
    for conf in ["all", "eth1"] {
        let key = format!("net/ipv6/conf/{conf}/keep_addr_on_down");
        kept.enis.vm.sysctl(&key, "0")?;
    }
    Ok(kept)
}

fn the_address_is_gone(kept: &Kept) -> Result<()> {
    let shown = kept.enis.vm.run("ip -6 addr show dev eth1")?;
    let gone = !shown.contains(&ETH1.addr6.to_string());
    ensure!(gone, "the kernel has kept the address: {shown}");
    Ok(())
}

#[test]
fn a_link_that_is_down_for_a_while_and_takes_its_ipv6_addresses_along() -> Result<()> {
    let kept = without_ipv6_on_a_link_that_is_down()?;
    let watched = Watched::begin(&kept)?;
    kept.ip("link set eth1 down")?;
    the_address_is_gone(&kept)?;
    guarded(&kept, HALF_A_SECOND)?;
    kept.ip("link set eth1 up")?;
    guarded(&kept, HALF_A_SECOND)?;
    let addr6 = ETH1.addr6;
    watched.whole_after("link up, and then its IPv6 address", || {
        kept.ip(&format!("addr add {addr6}/64 dev eth1"))
    })?;
    watched.finish()
}

#[test]
fn a_link_that_was_down_for_a_moment_only() -> Result<()> {
    let kept = without_ipv6_on_a_link_that_is_down()?;
    let watched = Watched::begin(&kept)?;
    kept.enis.vm.ip("link set eth1 down\nlink set eth1 up")?;
    the_address_is_gone(&kept)?;
    guarded(&kept, HALF_A_SECOND)?;
    watched.nobody_noticed()
}

#[test]
fn an_eni_that_is_back_before_its_addresses_are() -> Result<()> {
    let kept = Kept::eth1()?;
    let watched = Watched::begin(&kept)?;
    kept.enis.unplug(&ETH1)?;
    guarded(&kept, Duration::ZERO)?;
    kept.enis.vm.ip("link add eth1 type veth peer name far1
         link set far1 up
         link set eth1 up")?;
    guarded(&kept, HALF_A_SECOND)?;
    watched.nobody_noticed()
}

/// And however late the daemon looks: it was away.
#[test]
fn an_eni_whose_addresses_come_back_one_after_the_other() -> Result<()> {
    let kept = Kept::eth1()?;
    let watched = Watched::begin(&kept)?;
    let addr6 = ETH1.addr6;
    watched.mended_after(
        "plugged, with its IPv4 addresses",
        || {
            kept.signal(Signal::SIGSTOP)?;
            kept.enis.unplug(&ETH1)?;
            kept.enis.plug(&ETH1)?;
            kept.ip(&format!("addr del {addr6}/64 dev eth1"))?;
            kept.signal(Signal::SIGCONT)
        },
        || kept.says("+ -4 route default", Duration::ZERO),
    )?;
    // What holds until the daemon has seen the other address.
    kept.signal(Signal::SIGSTOP)?;
    kept.ip(&format!("addr add {addr6}/64 dev eth1"))?;
    guarded(&kept, HALF_A_SECOND)?;
    watched.whole_after("IPv6 address back too", || kept.signal(Signal::SIGCONT))?;
    watched.finish()
}

#[test]
fn the_rules_of_addresses_that_do_not_come_back_go_in_the_end() -> Result<()> {
    let kept = without_ipv6_on_a_link_that_is_down()?;
    kept.enis.vm.ip("link set eth1 down\nlink set eth1 up")?;
    guarded(&kept, Duration::ZERO)?;
    wait::until(FOR_GOOD, "an end of the rules", || {
        let rules = kept.enis.vm.run("ip -6 rule show")?;
        let gone = !rules.contains(&ETH1.addr6.to_string());
        gone.then_some(()).context(rules)
    })
}

/// Fails unless all the time the IPv6 rule of eth1 is there and ends at a guard.
fn guarded(kept: &Kept, long: Duration) -> Result<()> {
    let end = Instant::now() + long;
    loop {
        let rules = kept.enis.vm.run("ip -6 rule show")?;
        let rule = format!("from {} lookup", ETH1.addr6);
        ensure!(rules.contains(&rule), "no rule any more: {rules}");
        let routes = kept.enis.vm.run("ip -6 route show table 1001")?;
        ensure!(routes.contains("unreachable default"), "no guard: {routes}");
        if Instant::now() >= end {
            return Ok(());
        }
    }
}
