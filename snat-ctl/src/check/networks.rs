//! The networks that the gateway's interfaces are in: an address must not be on both sides (RFC 4787 REQ-7).

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Finding, Network};
use crate::config::Config;

/// A network that an interface has an address in.
#[derive(Clone, Copy)]
struct Connected<'a> {
    name: &'a str,
    addr: Ipv4Addr,
    net: Ipv4Net,
}

pub(super) fn findings(config: &Config, network: &Network) -> Vec<Finding> {
    let connected = connected(config, network);
    let mut findings = Vec::new();
    for (number, one) in connected.iter().enumerate() {
        let others = connected[number + 1..].iter();
        for other in others.filter(|other| other.name != one.name) {
            if one.net == other.net {
                findings.push(same(one, other));
            } else if one.net.contains(&other.net) {
                findings.push(hidden(one, other));
            } else if other.net.contains(&one.net) {
                findings.push(hidden(other, one));
            }
        }
    }
    findings
}

/// In the order of the configuration. With a prefix of 32 bits, as some clouds have them, nobody is on the link
/// but the host itself.
fn connected<'a>(config: &'a Config, network: &Network) -> Vec<Connected<'a>> {
    let mut connected: Vec<Connected<'_>> = Vec::new();
    for name in &config.gateway.interfaces {
        let Some(link) = network.link(name) else {
            continue;
        };
        for address in &network.addresses {
            let Ok(net) = Ipv4Net::new(address.addr, address.prefix_len) else {
                continue;
            };
            let net = net.trunc();
            let known = |one: &Connected<'_>| one.name == name && one.net == net;
            if address.link == link.index && net.prefix_len() < 32 && !connected.iter().any(known) {
                let addr = address.addr;
                connected.push(Connected { name, addr, net });
            }
        }
    }
    connected
}

fn same(one: &Connected<'_>, other: &Connected<'_>) -> Finding {
    let Connected { name, addr, net } = one;
    Finding::fatal(
        "interface.network",
        format!(
            "{name} and {} are both in {net}, with {addr} and {}",
            other.name, other.addr
        ),
        "the routes lead to the hosts there by one of the two interfaces, and never to those behind the other",
        format!(
            "give the networks prefixes that differ; if they are one, ip addr del {}/{} dev {}",
            other.addr,
            other.net.prefix_len(),
            other.name
        ),
    )
    .about(name)
}

/// More may be meant here than an accident: a part of a network behind a router that answers ARP for it.
fn hidden(wide: &Connected<'_>, narrow: &Connected<'_>) -> Finding {
    let Connected { name, net, .. } = wide;
    Finding::warn(
        "interface.network",
        format!(
            "{name} is in {net}, which has {} of {} in it",
            narrow.net, narrow.name
        ),
        format!(
            "the routes lead to {} by {}: hosts with such addresses behind {name} are not reached",
            narrow.net, narrow.name
        ),
        "give the networks prefixes that have nothing in common, unless no host is in both",
    )
    .about(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Severity, Config, Finding, Network, findings};
    use crate::netlink::{Address, Link};

    /// What there is to say of interfaces with these addresses, the first of them `eth0`.
    fn of(interfaces: &[&[&str]]) -> Vec<Finding> {
        let mut network = Network {
            links: Vec::new(),
            addresses: Vec::new(),
            default_route: None,
        };
        for (addresses, index) in interfaces.iter().zip(0_u32..) {
            network.links.push(Link {
                index: index + 2,
                name: format!("eth{index}"),
                mac: None,
                mtu: 1500,
                up: true,
                running: true,
                ethernet: true,
                kind: None,
                xdp: Vec::new(),
            });
            network.addresses.extend(addresses.iter().map(|text| {
                let (addr, prefix_len) = text.split_once('/').unwrap();
                Address {
                    link: index + 2,
                    addr: addr.parse().unwrap(),
                    prefix_len: prefix_len.parse().unwrap(),
                    secondary: false,
                }
            }));
        }
        findings(&config(), &network)
    }

    /// `eth2` is not the gateway's.
    fn config() -> Config {
        let text = "[gateway]\ninterfaces=['eth0', 'eth1']\n\
                    [[snat]]\nsource=['10.0.0.0/8']\nexternal=['auto']";
        Config::parse(text, Path::new("t.toml")).unwrap()
    }

    #[test]
    fn networks_of_their_own_are_fine() {
        assert_eq!(of(&[&["203.0.113.10/24"], &["10.0.0.1/16"]]), []);
        // Two addresses of one network on one interface, as in one arm.
        assert_eq!(of(&[&["10.0.0.1/16", "10.0.0.2/16", "10.0.7.1/24"]]), []);
        // Neighbours that begin alike.
        assert_eq!(of(&[&["10.0.0.1/17"], &["10.0.128.1/17"]]), []);
        // Nobody else can be in such a network.
        assert_eq!(of(&[&["10.0.0.1/24"], &["10.0.0.9/32"]]), []);
        assert_eq!(of(&[&["10.0.0.9/32"], &["10.0.0.9/32"]]), []);
        // What is not the gateway's is not its concern.
        assert_eq!(of(&[&["10.0.0.1/24"], &[], &["10.0.0.2/24"]]), []);
    }

    #[test]
    fn one_network_on_both_sides_is_fatal_and_both_are_named() {
        for second in ["192.168.1.1/24", "192.168.1.7/24"] {
            let found = of(&[&["192.168.1.7/24"], &["10.0.0.1/16", second]]);
            let [finding] = &found[..] else {
                panic!("{found:?}")
            };
            assert_eq!(finding.severity, Severity::Fatal);
            let addr = second.strip_suffix("/24").unwrap();
            assert_eq!(
                finding.what,
                format!("eth0 and eth1 are both in 192.168.1.0/24, with 192.168.1.7 and {addr}")
            );
            let fix = finding.fix.as_deref().unwrap();
            assert!(
                fix.contains(&format!("ip addr del {second} dev eth1")),
                "{fix}"
            );
        }
    }

    #[test]
    fn a_network_within_the_other_is_warned_about_whichever_is_wider() {
        let wide_first = of(&[&["10.0.0.1/8"], &["10.1.0.1/16"]]);
        let narrow_first = of(&[&["10.1.0.1/16"], &["10.0.0.1/8"]]);
        for (found, wide, narrow) in [(wide_first, "eth0", "eth1"), (narrow_first, "eth1", "eth0")]
        {
            let [finding] = &found[..] else {
                panic!("{found:?}")
            };
            assert_eq!(finding.severity, Severity::Warn);
            assert_eq!(
                finding.what,
                format!("{wide} is in 10.0.0.0/8, which has 10.1.0.0/16 of {narrow} in it")
            );
        }
    }
}
