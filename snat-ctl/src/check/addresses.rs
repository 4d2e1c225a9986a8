//! External addresses that the configuration lists: they must be this host's.

use super::{Finding, Network};
use crate::config::{Config, External, Snat};

pub(super) fn findings(config: &Config, network: &Network) -> Vec<Finding> {
    config
        .snat
        .iter()
        .filter_map(|entry| missing(config, entry, network))
        .collect()
}

/// Without the address on an interface, nobody answers ARP for it, and what comes for it without a
/// flow is nobody's.
fn missing(config: &Config, entry: &Snat, network: &Network) -> Option<Finding> {
    let ours = |addr| network.addresses.iter().any(|address| address.addr == addr);
    let missing: Vec<_> = entry
        .external
        .iter()
        .filter_map(|external| match external {
            External::Addr(addr) if !ours(*addr) => Some(*addr),
            External::Addr(_) | External::Auto => None,
        })
        .collect();
    let first = missing.first()?;
    let more = match missing.len() {
        1 => String::new(),
        count => format!(" (and {} more of this entry)", count - 1),
    };
    let finding = Finding::fatal(
        "external.address",
        format!(
            "{}:{}: snat {:?}: external address {first} is on no interface of this host{more}",
            config.path.display(),
            entry.line,
            entry.name,
        ),
        "answers to a source that is not this host's never come back",
        format!(
            "if it is routed to this host: ip addr add {first}/32 dev lo; in a cloud list the \
             private address that the EIP belongs to, or \"auto\""
        ),
    );
    Some(finding.about(&entry.name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Severity, Config, Network, findings};
    use crate::netlink::Address;

    fn network() -> Network {
        let addr = "203.0.113.10".parse().unwrap();
        let addresses = vec![Address {
            link: 2,
            addr,
            prefix_len: 24,
            secondary: false,
        }];
        Network {
            links: Vec::new(),
            addresses,
            default_route: None,
        }
    }

    fn config(external: &str) -> Config {
        let text = format!(
            "[gateway]\ninterfaces=['eth0']\n[[snat]]\nsource=['10.0.0.0/8']\nexternal={external}"
        );
        Config::parse(&text, Path::new("t.toml")).unwrap()
    }

    #[test]
    fn auto_and_addresses_of_this_host_are_fine() {
        assert_eq!(findings(&config("['auto']"), &network()), []);
        assert_eq!(findings(&config("['203.0.113.10']"), &network()), []);
    }

    #[test]
    fn an_address_that_is_not_ours_is_fatal_and_named_with_its_line() {
        let [finding] = &findings(&config("['203.0.113.9-203.0.113.11']"), &network())[..] else {
            panic!("one")
        };
        assert_eq!(finding.severity, Severity::Fatal);
        assert_eq!(
            finding.what,
            "t.toml:3: snat \"snat-1\": external address 203.0.113.9 is on no interface of this \
             host (and 1 more of this entry)"
        );
    }
}
