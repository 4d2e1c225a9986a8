//! The documented example: a host with eth0 and eth1, both with a table of their own, and one rule of each kind.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use snat_ctl::eni::{
    Action, Family, Interface, LAST_METRIC, MAIN, PROTOCOL, Route, RouteKind, Rule,
    render::{Format, Intent, Rendered, render},
};
use snat_tests::netns::Netns;

/// Name, MAC, table, addresses, gateways.
type Eni = (
    &'static str,
    [u8; 6],
    u32,
    &'static [&'static str],
    [&'static str; 2],
);

/// Tables that no other test gives a name.
const ETH0: u32 = 7010;
const ETH1: u32 = 7020;

const ENIS: [Eni; 2] = [
    (
        "eth0",
        [2, 0, 172, 16, 10, 10],
        ETH0,
        &["172.16.10.10/24", "2001:db8:10::10/64"],
        ["172.16.10.253", "2001:db8:10::fd"],
    ),
    (
        "eth1",
        [2, 0, 172, 16, 20, 193],
        ETH1,
        &[
            "172.16.20.193/24",
            "172.16.20.177/24",
            "2001:db8:20::193/64",
        ],
        ["172.16.20.253", "2001:db8:20::fd"],
    ),
];

/// The host with its links up, as it is at boot.
pub(crate) fn bare_host(name: &str) -> Result<Netns> {
    let host = Netns::create(name)?.with_ipv6()?;
    for (dev, mac, ..) in ENIS {
        let mac = snat_ctl::config::mac_text(mac);
        host.ip(&format!(
            "link add {dev} address {mac} type veth peer name {dev}-vpc\n\
             link set {dev} up\nlink set {dev}-vpc up\n"
        ))?;
    }
    Ok(host)
}

/// The host with addresses and a default route by eth0.
pub(crate) fn host(name: &str) -> Result<Netns> {
    let host = bare_host(name)?;
    for (dev, _, _, addresses, _) in ENIS {
        for address in addresses {
            host.ip(&format!("addr add {address} dev {dev}"))?;
        }
    }
    host.ip("route add default via 172.16.10.253 protocol 4\n\
         route add default via 2001:db8:10::fd protocol 4\n")?;
    Ok(host)
}

/// What networkd could have for an interface already.
pub(crate) fn own_file(name: &str) -> String {
    let mut text = format!("[Match]\nName={name}\n\n[Network]\nIPv6AcceptRA=no\n");
    for (dev, _, _, addresses, gateways) in ENIS {
        if dev == name {
            text.extend(
                addresses
                    .iter()
                    .map(|address| format!("Address={address}\n")),
            );
        }
        if dev == name && name == "eth0" {
            text.extend(
                gateways
                    .iter()
                    .map(|gateway| format!("Gateway={gateway}\n")),
            );
        }
    }
    text
}

/// Renders the example; `@` in `network_file` is the interface's name.
pub(crate) fn rendered(format: Format, network_file: Option<&str>) -> Result<Rendered> {
    let interfaces: Vec<_> = ENIS
        .iter()
        .enumerate()
        .map(|(index, eni)| interface(index, eni, network_file))
        .collect::<Result<_>>()?;
    let why = |what: &str| what.to_owned();
    let routes = routes()?
        .into_iter()
        .map(|route| (route, why("as planned")))
        .collect::<Vec<_>>();
    let rules = rules()?
        .into_iter()
        .map(|rule| (rule, why("as planned")))
        .collect::<Vec<_>>();
    let tables = BTreeMap::from(ENIS.map(|(name, _, table, ..)| (table, name.to_owned())));
    render(
        format,
        &Intent {
            interfaces: &interfaces,
            rules: &rules,
            routes: &routes,
            tables: &tables,
        },
    )
    .context("rendering")
}

fn interface(index: usize, eni: &Eni, network_file: Option<&str>) -> Result<Interface> {
    let (name, mac, _, addresses, gateways) = eni;
    let default_routes = match *name {
        "eth0" => gateways
            .iter()
            .map(|gateway| default(MAIN, name, gateway, 0))
            .collect::<Result<_>>()?,
        _ => Vec::new(),
    };
    Ok(Interface {
        name: (*name).to_owned(),
        ifindex: u32::try_from(index)? + 2,
        mac: Some(*mac),
        addresses: addresses
            .iter()
            .map(|net| net.parse())
            .collect::<Result<_, _>>()?,
        default_routes,
        network_file: network_file.map(|file| file.replace('@', name)),
    })
}

fn routes() -> Result<Vec<Route>> {
    let mut routes = vec![default(MAIN, "eth1", "172.16.20.253", 200)?];
    for (name, _, table, addresses, gateways) in ENIS {
        for family in Family::ALL {
            routes.push(Route {
                kind: RouteKind::Unreachable,
                metric: LAST_METRIC,
                ..plain(table, family.everything())
            });
        }
        let nets = addresses
            .iter()
            .map(|net| Ok(net.parse::<IpNet>()?.trunc()));
        let mut nets = nets.collect::<Result<Vec<_>>>()?;
        nets.dedup();
        routes.extend(nets.into_iter().map(|net| on_link(table, name, net)));
        for gateway in gateways {
            routes.push(default(table, name, gateway, 0)?);
        }
    }
    Ok(routes)
}

fn rules() -> Result<Vec<Rule>> {
    let rule = |priority, family, action| Rule::new(family, priority, PROTOCOL, action);
    let mut rules = vec![
        Rule {
            destination: Some("10.8.0.0/16".parse()?),
            ..rule(20_000, Family::Inet, Action::Lookup(MAIN))
        },
        Rule {
            suppress_prefix_length: Some(0),
            ..rule(20_050, Family::Inet6, Action::Lookup(MAIN))
        },
        Rule {
            source: Some("172.16.20.0/24".parse()?),
            destination: Some("203.0.113.0/24".parse()?),
            iif: Some("lo".to_owned()),
            ip_protocol: Some(6),
            source_ports: Some((1024, 60_999)),
            destination_ports: Some((443, 443)),
            ..rule(20_100, Family::Inet, Action::Prohibit)
        },
        Rule {
            iif: Some("eth1".to_owned()),
            mark: Some((0x10, 0xff)),
            ..rule(20_101, Family::Inet6, Action::Unreachable)
        },
    ];
    for (_, _, table, addresses, _) in ENIS {
        for (address, priority) in addresses.iter().zip(table + 13_390..) {
            let source = IpNet::from(address.parse::<IpNet>()?.addr());
            rules.push(Rule {
                source: Some(source),
                ..rule(priority, Family::of(source.addr()), Action::Lookup(table))
            });
        }
    }
    for family in Family::ALL {
        rules.push(Rule {
            mark: Some((0x101, u32::MAX)),
            ..rule(20_500, family, Action::Lookup(ETH1))
        });
    }
    Ok(rules)
}

fn default(table: u32, dev: &str, gateway: &str, metric: u32) -> Result<Route> {
    let gateway: IpAddr = gateway.parse()?;
    let route = plain(table, Family::of(gateway).everything());
    Ok(Route {
        metric: metric.max(route.metric),
        gateway: Some(gateway),
        dev: Some(dev.to_owned()),
        ..route
    })
}

fn on_link(table: u32, dev: &str, net: IpNet) -> Route {
    Route {
        dev: Some(dev.to_owned()),
        scope: if net.addr().is_ipv4() { 253 } else { 0 },
        ..plain(table, net)
    }
}

fn plain(table: u32, destination: IpNet) -> Route {
    Route {
        table,
        destination,
        metric: if destination.addr().is_ipv4() {
            0
        } else {
            1024
        },
        kind: RouteKind::Unicast,
        gateway: None,
        dev: None,
        source: None,
        onlink: false,
        protocol: PROTOCOL,
        scope: 0,
        unknown: Vec::new(),
    }
}
