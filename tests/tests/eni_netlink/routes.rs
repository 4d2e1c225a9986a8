//! Routes of ours, and what we say of others.

use std::{net::IpAddr, slice::from_ref};

use anyhow::{Context as _, Result};
use snat_ctl::{
    eni::{Family, PROTOCOL, Route, RouteKind},
    netlink::{NetlinkError, add_route, delete_route, links, routes},
};
use snat_tests::netns::Netns;

use crate::host::{host, ip, of, shown};

pub(crate) const THEIRS: u8 = 99;
const TABLE: u32 = 1001;

#[test]
fn every_field_of_a_route_is_what_ip_makes_of_its_words() -> Result<()> {
    let host = host()?;
    for route in samples()? {
        let family = route.family();
        let list = || shown(&host, family, &format!("route show table {}", route.table));
        add(&host, &route)?;
        let with_ours = of(&list()?, PROTOCOL);
        assert_eq!(ours(&host)?, from_ref(&route), "{route}");
        delete(&host, &route)?;
        assert_eq!(of(&list()?, PROTOCOL).len(), 0, "{route}");
        ip(&host, family, &format!("route add {route}"), THEIRS)?;
        assert_eq!(with_ours, of(&list()?, THEIRS), "{route}");
        ip(&host, family, &format!("route delete {route}"), THEIRS)?;
    }
    Ok(())
}

#[test]
fn of_two_of_ours_that_the_kernel_cannot_tell_apart_the_right_one_goes() -> Result<()> {
    let host = host()?;
    let plain = default_by(Family::Inet, "10.1.0.254")?;
    let mut onlink = plain.clone();
    onlink.onlink = true;
    let mut source = plain.clone();
    source.source = Some("10.1.0.1".parse()?);
    for other in [&onlink, &source] {
        add(&host, &plain)?;
        add(&host, other)?;
        delete(&host, &plain)?;
        assert_eq!(ours(&host)?, from_ref(other));
        assert!(delete(&host, &plain).is_err_and(|error| is_gone(&error)));
        assert_eq!(ours(&host)?, from_ref(other));
        delete(&host, other)?;
    }
    Ok(())
}

#[test]
fn a_route_with_something_we_do_not_speak_is_never_ours() -> Result<()> {
    let host = host()?;
    let mut lines = vec![
        (
            Family::Inet,
            "default via 10.1.0.254 dev eth1 metric 100 table 1001 tos 0x10",
            "tos 0x10",
        ),
        (
            Family::Inet,
            "default via inet6 fd01::fe dev eth1 metric 100 table 1001",
            "via inet6 fd01::fe",
        ),
        (
            Family::Inet,
            "default via 10.1.0.254 dev eth1 metric 100 table 1001 mtu 1400",
            "[mtu(1400)]",
        ),
        (
            Family::Inet,
            "default via 10.1.0.254 dev eth1 metric 100 table 1001 realms 3/4",
            "realms 3/4",
        ),
        (
            Family::Inet6,
            "default via fd01::fe dev eth1 metric 100 table 1001 pref high",
            "pref high",
        ),
        (
            Family::Inet6,
            "default via fd01::fe dev eth1 metric 100 table 1001 expires 300",
            "expires",
        ),
        (
            Family::Inet,
            "default metric 100 table 1001 nexthop via 10.1.0.254 nexthop via 10.0.0.254",
            "nexthop via 10.1.0.254 dev eth1 weight 1 nexthop via 10.0.0.254 dev eth0 weight 1",
        ),
    ];
    host.ip("nexthop add id 7 via 10.1.0.254 dev eth1\nnexthop add id 8 via fd01::fe dev eth1\n")?;
    lines.push((
        Family::Inet,
        "default nhid 7 metric 100 table 1001",
        "nhid 7",
    ));
    lines.push((
        Family::Inet6,
        "default nhid 8 metric 100 table 1001",
        "nhid 8",
    ));
    for (family, line, words) in lines {
        ip(&host, family, &format!("route add {line}"), PROTOCOL)?;
        let there = ours(&host)?;
        assert_eq!(there.len(), 1, "{line}");
        assert_eq!(there[0].unknown, [words.to_owned()], "{line}");
        assert!(delete(&host, &there[0]).is_err(), "{line}");
        ip(&host, family, &format!("route delete {line}"), PROTOCOL)?;
    }
    Ok(())
}

/// Each kind and field, of both families.
pub(crate) fn samples() -> Result<Vec<Route>> {
    let mut all = Vec::new();
    for (family, gateway, far, source, network) in [
        (
            Family::Inet,
            "10.1.0.254",
            "192.0.2.1",
            "10.1.0.1",
            "172.16.0.0/12",
        ),
        (
            Family::Inet6,
            "fd01::fe",
            "2001:db8::1",
            "fd01::1",
            "2001:db8:20::/56",
        ),
    ] {
        let plain = default_by(family, gateway)?;
        all.push(plain.clone());
        all.push(Route {
            source: Some(source.parse()?),
            ..plain.clone()
        });
        all.push(Route {
            gateway: Some(far.parse()?),
            onlink: true,
            ..plain.clone()
        });
        all.push(Route {
            destination: network.parse()?,
            ..plain.clone()
        });
        let scope = if family == Family::Inet { 253 } else { 0 };
        let connected = Route {
            destination: network.parse()?,
            gateway: None,
            scope,
            ..plain.clone()
        };
        all.push(connected);
        for kind in [
            RouteKind::Unreachable,
            RouteKind::Prohibit,
            RouteKind::Blackhole,
        ] {
            all.push(Route {
                kind,
                gateway: None,
                dev: None,
                metric: u32::MAX,
                ..plain.clone()
            });
        }
    }
    all.push(Route {
        table: 100,
        ..default_by(Family::Inet, "10.1.0.254")?
    });
    all.push(Route {
        metric: 0,
        ..default_by(Family::Inet, "10.1.0.254")?
    });
    Ok(all)
}

pub(crate) fn default_by(family: Family, gateway: &str) -> Result<Route> {
    let gateway: IpAddr = gateway.parse()?;
    Ok(Route {
        table: TABLE,
        destination: family.everything(),
        metric: 100,
        kind: RouteKind::Unicast,
        gateway: Some(gateway),
        dev: Some("eth1".to_owned()),
        source: None,
        onlink: false,
        protocol: PROTOCOL,
        scope: 0,
        unknown: Vec::new(),
    })
}

pub(crate) fn is_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<NetlinkError>()
        .is_some_and(NetlinkError::is_gone)
}

pub(crate) fn add(host: &Netns, route: &Route) -> Result<()> {
    host.enter(|| add_route(route, &links()?).with_context(|| format!("adding {route}")))
}

pub(crate) fn delete(host: &Netns, route: &Route) -> Result<()> {
    host.enter(|| Ok(delete_route(route, &links()?)?))
}

pub(crate) fn ours(host: &Netns) -> Result<Vec<Route>> {
    let all = host.enter(|| Ok(routes(&links()?)?))?;
    Ok(all
        .into_iter()
        .filter(|route| route.protocol == PROTOCOL)
        .collect())
}
