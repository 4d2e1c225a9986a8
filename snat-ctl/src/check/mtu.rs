//! Sizes of packets: where they must shrink on their way, path-MTU discovery has to work.

use super::{Finding, Network};
use crate::{
    config::{Config, MssClamp},
    netlink::Link,
};

/// What the Internet takes everywhere.
const INTERNET: u32 = 1500;
/// The least that every IPv6 link takes (RFC 8200 section 5): a smaller one is seldom meant.
const SMALL: u32 = 1280;

pub(super) fn findings(config: &Config, network: &Network) -> Vec<Finding> {
    let names = config.gateway.interfaces.iter();
    let links: Vec<&Link> = names.filter_map(|name| network.link(name)).collect();
    let small = links
        .iter()
        .filter(|link| link.mtu < SMALL)
        .map(|link| small(link));
    let mut findings: Vec<Finding> = small.collect();
    let outward = links
        .iter()
        .find(|link| network.default_route == Some(link.index));
    let Some(outward) = outward else {
        return findings;
    };
    let clamp = config.gateway.mss_clamp;
    if clamp == MssClamp::Off {
        let wider = links.iter().find(|link| link.mtu > outward.mtu);
        findings.extend(wider.map(|wider| narrows(wider, outward)));
    }
    // `auto` knows this host's routes, and not what is behind them.
    if outward.mtu > INTERNET && !matches!(clamp, MssClamp::To(_)) {
        findings.push(jumbo(outward));
    }
    findings
}

fn small(link: &Link) -> Finding {
    let name = &link.name;
    Finding::warn(
        "interface.mtu",
        format!("{name}: MTU {} is less than {SMALL}", link.mtu),
        "packets of usual size are cut up or refused there",
        format!("ip link set {name} mtu {INTERNET}, if what is behind it takes that"),
    )
    .about(name)
}

fn narrows(wider: &Link, outward: &Link) -> Finding {
    let (from, to) = (&wider.name, &outward.name);
    Finding::info(
        "interface.mtu",
        format!(
            "packets shrink on the way out: MTU {} on {from}, {} on {to}",
            wider.mtu, outward.mtu
        ),
        "clients are told by ICMP (fragmentation needed); connections of those that filter it hang at the \
         first large packet",
        "gateway.mss_clamp = \"auto\" has TCP begin with what fits; or the same MTU on both",
    )
    .about(from)
}

fn jumbo(outward: &Link) -> Finding {
    let name = &outward.name;
    Finding::info(
        "interface.mtu",
        format!("{name} leads outside with MTU {}, and the Internet takes {INTERNET}", outward.mtu),
        "larger packets are refused somewhere behind it, and only path-MTU discovery tells their sender",
        format!("ip link set {name} mtu {INTERNET}; or gateway.mss_clamp = 1460"),
    )
    .about(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Config, Finding, Link, Network, findings};

    /// With these MTUs on eth0, which leads outside, and eth1.
    fn of(outside: u32, inside: u32, gateway: &str) -> Vec<Finding> {
        let link = |index: u32, mtu| Link {
            index,
            name: format!("eth{}", index - 2),
            mac: None,
            mtu,
            up: true,
            running: true,
            ethernet: true,
            kind: None,
            xdp: Vec::new(),
        };
        let network = Network {
            links: vec![link(2, outside), link(3, inside)],
            addresses: Vec::new(),
            default_route: Some(2),
        };
        let text = format!(
            "[gateway]\ninterfaces=['eth0', 'eth1']\n{gateway}\n\
             [[snat]]\nsource=['10.0.0.0/8']\nexternal=['auto']"
        );
        let config = Config::parse(&text, Path::new("t.toml")).unwrap();
        findings(&config, &network)
    }

    #[test]
    fn one_size_everywhere_is_fine() {
        assert_eq!(of(1500, 1500, ""), []);
        assert_eq!(of(1500, 1450, ""), []);
    }

    #[test]
    fn what_shrinks_outwards_is_told_unless_the_mss_is_clamped() {
        let [finding] = &of(1400, 1500, "mss_clamp = 'off'")[..] else {
            panic!("one")
        };
        assert!(
            finding.what.contains("MTU 1500 on eth1, 1400 on eth0"),
            "{finding}"
        );
        assert_eq!(of(1400, 1500, ""), []);
        assert_eq!(of(9001, 9001, "mss_clamp = 1460"), []);
        assert!(
            of(9001, 9001, "")[0]
                .what
                .contains("the Internet takes 1500")
        );
        assert!(
            of(1000, 1000, "mss_clamp = 'auto'")[0]
                .what
                .contains("less than 1280")
        );
    }
}
