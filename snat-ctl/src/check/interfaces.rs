//! The interfaces to attach to: there, up, Ethernet, ours to use, and how fast they can be.

use super::{Finding, Network, Severity, driver, ethtool, foreign, programs};
use crate::{
    config::{Config, Datapath, External},
    netlink::{Link, primary_address},
};

pub(super) fn findings(config: &Config, network: &Network) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own = foreign::own_programs(&config.gateway.name);
    for name in &config.gateway.interfaces {
        match network.link(name) {
            None => findings.push(missing(config, name, &network.links)),
            Some(link) => {
                findings.extend(link_state(link));
                findings.extend(foreign::findings(link, config.gateway.datapath, &own));
                findings.extend(programs::findings(link, &own));
                findings.push(xdp_mode(link, config.gateway.datapath));
            }
        }
    }
    if findings
        .iter()
        .all(|finding| finding.id != "interface.exists")
    {
        findings.extend(auto_addresses(config, network));
        findings.extend(default_route(config, network));
    }
    findings
}

fn missing(config: &Config, name: &str, links: &[Link]) -> Finding {
    let others: Vec<_> = links
        .iter()
        .map(|link| link.name.as_str())
        .filter(|name| *name != "lo")
        .collect();
    Finding::fatal(
        "interface.exists",
        format!(
            "{}:{}: gateway.interfaces: there is no interface {name:?}; accepted: {}",
            config.path.display(),
            config.gateway.interfaces_line,
            if others.is_empty() {
                "none, this host has no other".into()
            } else {
                others.join(", ")
            },
        ),
        "the datapath attaches to the interfaces that the configuration lists",
        "name one of this host's interfaces, or create it first",
    )
    .about(name)
}

fn link_state(link: &Link) -> Vec<Finding> {
    let name = link.name.as_str();
    let mut findings = Vec::new();
    if !link.ethernet {
        findings.push(Finding::fatal(
            "interface.ethernet",
            format!("{name} does not carry Ethernet frames"),
            "the datapath reads and writes Ethernet headers",
            "use an Ethernet interface; tunnels, PPP and loopback cannot serve",
        ));
    }
    if !link.up {
        findings.push(Finding::fatal(
            "interface.up",
            format!("{name} is down"),
            "no packet passes it, and the kernel routes nothing by it",
            format!("ip link set {name} up"),
        ));
    } else if !link.running {
        findings.push(Finding::warn(
            "interface.carrier",
            format!("{name} has no carrier"),
            "no packet passes it until the other end is there",
            "look at the cable, the hypervisor's port or the veth's other end",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "interface.up",
            format!("{name} is up, MTU {}", link.mtu),
        ));
    }
    findings
        .into_iter()
        .map(|finding| finding.about(name))
        .collect()
}

fn xdp_mode(link: &Link, datapath: Datapath) -> Finding {
    let nic = driver::Nic {
        driver: ethtool::driver(&link.name)
            .ok()
            .or_else(|| link.kind.clone()),
        mtu: link.mtu,
        channels: ethtool::channels(&link.name).ok(),
        cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    driver::finding(&link.name, &nic, datapath)
}

/// `auto` stands for an address of the interface that a packet leaves by.
fn auto_addresses(config: &Config, network: &Network) -> Vec<Finding> {
    let auto = config
        .snat
        .iter()
        .any(|entry| entry.external == [External::Auto]);
    if !auto {
        return Vec::new();
    }
    let managed = config
        .gateway
        .interfaces
        .iter()
        .filter_map(|name| network.link(name));
    let several = config.gateway.interfaces.len() > 1;
    managed
        .map(|link| {
            let name = link.name.as_str();
            if let Some(addr) = primary_address(&network.addresses, link.index) {
                return Finding::ok(
                    "interface.address",
                    format!("{name}: auto stands for {addr}"),
                );
            }
            let outward = !several || network.default_route == Some(link.index);
            Finding::new(
                if outward {
                    Severity::Fatal
                } else {
                    Severity::Warn
                },
                "interface.address",
                format!("{name} has no IPv4 address"),
                "external = [\"auto\"] has nothing to translate to for packets that leave by it",
                format!("ip addr add ADDRESS/LEN dev {name}, or list addresses in external"),
            )
        })
        .zip(&config.gateway.interfaces)
        .map(|(finding, name)| finding.about(name))
        .collect()
}

fn default_route(config: &Config, network: &Network) -> Option<Finding> {
    let id = "route.default";
    let Some(index) = network.default_route else {
        return Some(Finding::warn(
            id,
            "there is no IPv4 default route",
            "clients reach only what more special routes lead to",
            "ip route add default via NEXT-HOP",
        ));
    };
    let link = network.links.iter().find(|link| link.index == index)?;
    if config.gateway.interfaces.contains(&link.name) {
        return Some(Finding::ok(
            id,
            format!("the default route leaves by {}", link.name),
        ));
    }
    Some(Finding::warn(
        id,
        format!(
            "the default route leaves by {}, which is not in gateway.interfaces",
            link.name
        ),
        "clients' packets that take it are dropped (unmanaged_egress) rather than let out \
         untranslated",
        format!("add {:?} to gateway.interfaces", link.name),
    ))
}
