//! Addresses.

use anyhow::Result;
use snat_ctl::netlink::{InterfaceAddress, all_addresses, links};

use crate::host::host;

#[test]
fn every_address_is_there_with_its_flags() -> Result<()> {
    let host = host()?;
    host.ip("\
        addr add 10.1.0.2/24 dev eth1\n\
        addr add 10.9.0.1 peer 10.9.0.2/32 dev eth1\n\
        addr add 2001:db8::1/64 dev eth1 preferred_lft 0\n\
        addr add 2001:db8::2 peer 2001:db8::3/128 dev eth1\n")?;
    let all = host.enter(|| {
        let eth1 = links()?.into_iter().find(|link| link.name == "eth1");
        let index = eth1.map(|link| link.index);
        let all = all_addresses()?;
        Ok(all
            .into_iter()
            .filter(|address| Some(address.link) == index && address.scope == 0)
            .collect::<Vec<_>>())
    })?;
    let find = |net: &str| {
        all.iter()
            .find(|address| address.net.to_string() == net)
            .copied()
    };
    let plain = find("10.1.0.1/24").expect("the first IPv4 address");
    assert!(!plain.secondary && !plain.deprecated && !plain.tentative && !plain.temporary);
    assert_eq!(plain.peer, None);
    assert!(find("10.1.0.2/24").is_some_and(|address| address.secondary));
    let peer = |text: &str| text.parse().ok();
    assert_eq!(
        find("10.9.0.1/32").and_then(|address| address.peer),
        peer("10.9.0.2")
    );
    let six = find("fd01::1/64").expect("the first IPv6 address");
    assert_eq!(
        six,
        InterfaceAddress {
            net: six.net,
            ..plain
        }
    );
    assert!(find("2001:db8::1/64").is_some_and(|address| address.deprecated));
    assert_eq!(
        find("2001:db8::2/128").and_then(|address| address.peer),
        peer("2001:db8::3")
    );
    assert_eq!(all.len(), 6, "{all:?}");
    Ok(())
}

#[test]
fn an_ipv6_address_that_is_still_being_checked_says_so() -> Result<()> {
    let host = host()?;
    host.sysctl("net/ipv6/conf/eth1/accept_dad", "1")?;
    host.sysctl("net/ipv6/conf/eth1/dad_transmits", "200")?;
    host.ip("addr add 2001:db8::7/64 dev eth1")?;
    let all = host.enter(|| Ok(all_addresses()?))?;
    let checked = all
        .iter()
        .find(|address| address.net.to_string() == "2001:db8::7/64");
    assert!(
        checked.is_some_and(|address| address.tentative),
        "{checked:?}"
    );
    Ok(())
}
