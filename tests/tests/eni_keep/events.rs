//! Links, addresses, rules and routes that change under the daemon.

use anyhow::{Result, ensure};
use snat_tests::topology::enis::ETH1;

use super::{
    kept::{A_SECOND, Kept, closely},
    rule_of_eth1,
    watched::Watched,
};

#[test]
fn a_link_that_goes_down_and_up() -> Result<()> {
    let kept = Kept::eth1()?;
    let watched = Watched::begin(&kept)?;
    kept.ip("link set eth1 down")?;
    watched.whole_after("link up", || kept.ip("link set eth1 up"))?;
    watched.finish()
}

/// Each time the kernel takes the routes along; that is no reason to put them back later.
#[test]
fn a_link_that_flaps() -> Result<()> {
    let kept = Kept::eth1()?;
    let watched = Watched::begin(&kept)?;
    for time in 1..=10 {
        let flap = || kept.enis.vm.ip("link set eth1 down\nlink set eth1 up");
        watched.whole_after(&format!("flap {time}"), flap)?;
    }
    watched.finish()
}

#[test]
fn addresses_that_are_removed_and_added() -> Result<()> {
    let kept = Kept::eth1()?;
    let watched = Watched::begin(&kept)?;
    let (addr, addr6) = (ETH1.addr, ETH1.addr6);
    let [further] = *ETH1.further else { panic!() };
    // The secondary one goes with it.
    kept.ip(&format!("addr del {addr}/24 dev eth1"))?;
    watched.whole_after("IPv4 addresses removed and added", || {
        kept.enis.vm.ip(&format!(
            "addr add {addr}/24 dev eth1\naddr add {further}/24 dev eth1"
        ))
    })?;
    for net in [format!("{further}/24"), format!("{addr6}/64")] {
        kept.ip(&format!("addr del {net} dev eth1"))?;
        let from = format!("from {} ", net.split('/').next().unwrap_or_default());
        closely(A_SECOND, || {
            ensure!(!kept.has_rule(&from)?, "still there: a rule {from}");
            Ok(())
        })?;
        let add = format!("addr add {net} dev eth1");
        watched.whole_after(&add, || kept.ip(&add))?;
    }
    watched.eth0_noticed_nothing()
}

/// As DHCP does it.
#[test]
fn an_address_that_is_changed_for_another() -> Result<()> {
    let kept = Kept::eth1()?;
    // As systemd has it: else with the old address goes the new one, as a secondary one of the same subnet.
    let vm = &kept.enis.vm;
    vm.sysctl("net/ipv4/conf/eth1/promote_secondaries", "1")?;
    let watched = Watched::begin(&kept)?;
    for (family, length, old, new) in [
        ("-4", 24, ETH1.addr.to_string(), "172.16.20.50"),
        ("-6", 64, ETH1.addr6.to_string(), "2001:db8:20::50"),
    ] {
        let address =
            |verb, addr| kept.ip(&format!("{family} addr {verb} {addr}/{length} dev eth1"));
        let have = |wanted: [bool; 2]| {
            let from = [&*old, new].map(|addr| format!("from {addr} "));
            let found = [kept.has_rule(&from[0])?, kept.has_rule(&from[1])?];
            ensure!(found == wanted, "{from:?} have rules: {found:?}");
            Ok(())
        };
        watched.mended_after("new address", || address("add", new), || have([true, true]))?;
        watched.mended_after(
            "old address gone",
            || address("del", &old),
            || have([false, true]),
        )?;
    }
    watched.eth0_noticed_nothing()
}

#[test]
fn rules_and_routes_deleted_by_hand() -> Result<()> {
    let kept = Kept::eth1()?;
    let watched = Watched::begin(&kept)?;
    let addr6 = ETH1.addr6;
    for (what, line) in [
        ("IPv4 rule deleted", format!("rule del {}", rule_of_eth1())),
        (
            "IPv6 rule deleted",
            format!("-6 rule del priority 20400 from {addr6}"),
        ),
        (
            "IPv4 guard",
            "route del unreachable default table 1001 metric 4294967295".to_owned(),
        ),
        ("IPv4 table flushed", "route flush table 1001".to_owned()),
        ("IPv6 table flushed", "-6 route flush table 1001".to_owned()),
        (
            "default route of the main table deleted",
            "route del default metric 200".to_owned(),
        ),
    ] {
        watched.whole_after(what, || kept.ip(&line))?;
    }
    watched.eth0_noticed_nothing()
}
