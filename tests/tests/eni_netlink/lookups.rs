//! The kernel's own lookup.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use snat_ctl::{
    eni::{Family, RouteKind},
    netlink::{Found, Lookup, links, lookup},
};
use snat_tests::netns::Netns;

use crate::host::host;

#[test]
fn each_kind_of_route_has_its_answer() -> Result<()> {
    let host = host()?;
    for (family, net) in [(Family::Inet, "198.51."), (Family::Inet6, "2001:db8:")] {
        let prefix = |n: u8| match family {
            Family::Inet => format!("{net}{n}.0/24"),
            Family::Inet6 => format!("{net}{n}::/64"),
        };
        let within = |n: u8| match family {
            Family::Inet => format!("{net}{n}.9"),
            Family::Inet6 => format!("{net}{n}::9"),
        };
        let kinds = [
            RouteKind::Unreachable,
            RouteKind::Prohibit,
            RouteKind::Blackhole,
        ];
        for (n, kind) in (1..).zip(kinds) {
            let word = format!("{kind:?}").to_lowercase();
            host.run(&format!(
                "ip {} route add {word} {}",
                family.option(),
                prefix(n)
            ))?;
            assert_eq!(
                ask(&host, &to(&within(n))?)?,
                Found::Refused(kind),
                "{family:?}"
            );
        }
        assert_eq!(ask(&host, &to(&within(9))?)?, Found::NoRoute, "{family:?}");
    }
    Ok(())
}

#[test]
fn a_rule_that_leads_nowhere_has_the_answer_of_its_kind() -> Result<()> {
    let host = host()?;
    for (option, neighbour) in [("-4", "10.1.0.9"), ("-6", "fd01::9")] {
        for (word, found) in [
            ("unreachable", Found::NoRoute),
            ("prohibit", Found::Refused(RouteKind::Prohibit)),
            ("blackhole", Found::Refused(RouteKind::Blackhole)),
        ] {
            host.run(&format!("ip {option} rule add {word} priority 5"))?;
            assert_eq!(ask(&host, &to(neighbour)?)?, found, "{option} {word}");
            host.run(&format!("ip {option} rule delete priority 5"))?;
        }
    }
    Ok(())
}

#[test]
fn every_selector_of_a_rule_leads_to_its_table() -> Result<()> {
    let host = host()?;
    for (option, gateway, source, far, elsewhere) in [
        ("-4", "10.1.0.254", "10.1.0.1", "203.0.113.9", "203.0.113.8"),
        ("-6", "fd01::fe", "fd01::1", "2001:db8::9", "2001:db8::8"),
    ] {
        host.run(&format!(
            "ip {option} route add default via {gateway} dev eth1 table 1001"
        ))?;
        let plain = to(far)?;
        let from = Lookup {
            source: Some(source.parse()?),
            ..plain
        };
        let oif = Lookup {
            oif: Some(index(&host, "eth1")?),
            ..plain
        };
        let tcp = Lookup {
            ip_protocol: Some(6),
            source_port: Some(1234),
            destination_port: Some(443),
            ..plain
        };
        let cases = [
            (format!("from {source}"), from, plain),
            (format!("to {far}"), plain, to(elsewhere)?),
            (
                "fwmark 0x10/0xff".to_owned(),
                Lookup {
                    mark: 0x1110,
                    ..plain
                },
                Lookup {
                    mark: 0x1111,
                    ..plain
                },
            ),
            ("oif eth1".to_owned(), oif, plain),
            (
                "ipproto 6".to_owned(),
                tcp,
                Lookup {
                    ip_protocol: Some(17),
                    ..tcp
                },
            ),
            (
                "ipproto 6 sport 1234".to_owned(),
                tcp,
                Lookup {
                    source_port: Some(1235),
                    ..tcp
                },
            ),
            (
                "ipproto 6 dport 443".to_owned(),
                tcp,
                Lookup {
                    destination_port: Some(444),
                    ..tcp
                },
            ),
        ];
        for (words, packet, other) in cases {
            host.run(&format!(
                "ip {option} rule add {words} lookup 1001 priority 5"
            ))?;
            let hit = by_eth1(&host, gateway)?;
            assert_eq!(place(ask(&host, &packet)?), hit, "{option} {words}");
            assert_ne!(place(ask(&host, &other)?), hit, "{option} {words}");
            host.run(&format!("ip {option} rule delete priority 5"))?;
        }
    }
    Ok(())
}

/// Table, interface and gateway.
type Place = (u32, Option<u32>, Option<IpAddr>);

fn place(found: Found) -> Option<Place> {
    match found {
        Found::Route {
            table,
            dev,
            gateway,
            ..
        } => Some((table, dev, gateway)),
        _ => None,
    }
}

fn by_eth1(host: &Netns, gateway: &str) -> Result<Option<Place>> {
    Ok(Some((
        1001,
        Some(index(host, "eth1")?),
        Some(gateway.parse()?),
    )))
}

#[test]
fn a_forwarded_packet_is_looked_up_by_the_interface_that_it_came_in_by() -> Result<()> {
    let host = host()?;
    host.sysctl("net/ipv4/ip_forward", "1")?;
    host.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    for (option, gateway, client, far) in [
        ("-4", "10.1.0.254", "10.0.0.9", "203.0.113.9"),
        ("-6", "fd01::fe", "fd00::9", "2001:db8::9"),
    ] {
        host.run(&format!(
            "ip {option} route add default via {gateway} dev eth1 table 1001"
        ))?;
        host.run(&format!(
            "ip {option} rule add iif eth0 lookup 1001 priority 5"
        ))?;
        let packet = Lookup {
            source: Some(client.parse()?),
            iif: Some(index(&host, "eth0")?),
            ..to(far)?
        };
        assert_eq!(
            place(ask(&host, &packet)?),
            by_eth1(&host, gateway)?,
            "{option}"
        );
        assert_eq!(
            ask(&host, &to(far)?)?,
            Found::NoRoute,
            "{option}: the host's own"
        );
    }
    Ok(())
}

#[test]
fn an_address_of_the_host_is_local() -> Result<()> {
    let host = host()?;
    for own in ["10.1.0.1", "fd01::1"] {
        let found = ask(&host, &to(own)?)?;
        assert!(
            matches!(
                found,
                Found::Route {
                    kind: RouteKind::Other(2),
                    ..
                }
            ),
            "{own}: {found:?}"
        );
    }
    Ok(())
}

#[test]
fn bound_to_an_interface_an_ipv4_packet_without_a_route_is_said_to_be_in_no_table() -> Result<()> {
    let host = host()?;
    let eth1 = Some(index(&host, "eth1")?);
    let bound = |far| {
        Ok::<_, anyhow::Error>(Lookup {
            oif: eth1,
            ..to(far)?
        })
    };
    assert_eq!(
        place(ask(&host, &bound("203.0.113.9")?)?),
        Some((0, eth1, None))
    );
    assert_eq!(ask(&host, &bound("2001:db8::9")?)?, Found::NoRoute);
    Ok(())
}

#[test]
fn a_source_that_is_not_the_hosts_is_no_blackhole() -> Result<()> {
    let host = host()?;
    let packet = Lookup {
        source: Some("192.0.2.1".parse()?),
        ..to("10.1.0.9")?
    };
    let refusal = ask(&host, &packet).expect_err("the host has no such address");
    assert!(
        refusal
            .to_string()
            .contains("192.0.2.1 is no address of this host"),
        "{refusal}"
    );
    Ok(())
}

fn to(addr: &str) -> Result<Lookup> {
    Ok(Lookup::to(addr.parse::<IpAddr>()?))
}

fn ask(host: &Netns, packet: &Lookup) -> Result<Found> {
    host.enter(|| Ok(lookup(packet)?))
}

fn index(host: &Netns, dev: &str) -> Result<u32> {
    let all = host.enter(|| Ok(links()?))?;
    let link = all.iter().find(|link| link.name == dev);
    Ok(link.with_context(|| format!("finding {dev}"))?.index)
}
