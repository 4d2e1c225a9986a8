//! What a person reads when the kernel refuses something.

use anyhow::Result;
use snat_ctl::{
    eni::{Family, PROTOCOL, Route, RouteKind},
    netlink::{add_route, links},
};
use snat_tests::netns::Netns;

use crate::host::host;

#[test]
fn a_gateway_that_is_not_on_the_link_is_said_with_what_to_do() -> Result<()> {
    let host = host()?;
    for (family, gateway) in [(Family::Inet, "192.0.2.1"), (Family::Inet6, "2001:db8::1")] {
        let text = refusal(&host, &route(family, gateway, "eth1")?)?;
        let command = format!(
            "`ip {} route add default via {gateway} dev eth1",
            family.option()
        );
        assert!(text.contains(&command), "{text}");
        assert!(text.contains("or say `onlink`"), "{text}");
    }
    Ok(())
}

#[test]
fn the_kernels_own_words_are_passed_on() -> Result<()> {
    let host = host()?;
    let text = refusal(&host, &route(Family::Inet, "192.0.2.1", "eth1")?)?;
    assert!(text.contains("(Nexthop has invalid gateway)"), "{text}");
    Ok(())
}

#[test]
fn an_interface_that_there_is_not_is_named() -> Result<()> {
    let host = host()?;
    let text = refusal(&host, &route(Family::Inet, "10.1.0.254", "eth7")?)?;
    assert!(text.contains("there is no interface \"eth7\""), "{text}");
    Ok(())
}

#[test]
fn an_interface_that_is_down_is_said() -> Result<()> {
    let host = host()?;
    host.ip("link set eth1 down")?;
    for family in Family::ALL {
        let connected = Route {
            gateway: None,
            ..route(family, "::", "eth1")?
        };
        let text = refusal(&host, &connected)?;
        assert!(text.contains("set the interface up"), "{text}");
    }
    Ok(())
}

fn refusal(host: &Netns, route: &Route) -> Result<String> {
    let refused = host.enter(|| Ok(add_route(route, &links()?)))?;
    Ok(refused
        .expect_err("the kernel cannot take that")
        .to_string())
}

fn route(family: Family, gateway: &str, dev: &str) -> Result<Route> {
    Ok(Route {
        table: 1001,
        destination: family.everything(),
        metric: 100,
        kind: RouteKind::Unicast,
        gateway: Some(gateway.parse()?),
        dev: Some(dev.to_owned()),
        source: None,
        onlink: false,
        protocol: PROTOCOL,
        scope: 0,
        unknown: Vec::new(),
    })
}
