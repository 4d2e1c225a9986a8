//! Interfaces and addresses: there, up, and what the datapath takes them for.

use std::net::Ipv4Addr;

use super::{Host, Look, Problem};
use crate::{
    datapath::{externals, interfaces},
    netlink::{Link, primary_address},
};

pub(super) fn problems(look: &Look<'_>, host: &Host) -> Vec<Problem> {
    let known = interfaces(look.pins).unwrap_or_default();
    let mut problems = Vec::new();
    for interface in host.record.iter().flat_map(|record| &record.interfaces) {
        match host.link(&interface.name) {
            None => {
                let renamed = host
                    .links
                    .iter()
                    .find(|link| is_renamed(link, host, &known));
                problems.push(gone(&interface.name, renamed));
            }
            Some(link) => problems.extend(state(link)),
        }
    }
    for link in host.managed() {
        let then = known.iter().find(|known| known.ifindex == link.index);
        let now = primary_address(&host.addresses, link.index);
        problems.extend(then.and_then(|then| moved(link, then.addr.into(), now)));
    }
    problems.extend(lost_addresses(look, host));
    problems
}

/// One that the datapath knows by its index, and the configuration by no name.
fn is_renamed(link: &Link, host: &Host, known: &[snat_common::Interface]) -> bool {
    known.iter().any(|known| known.ifindex == link.index)
        && host.managed().all(|managed| managed.index != link.index)
}

fn gone(name: &str, renamed: Option<&Link>) -> Problem {
    let problem = match renamed {
        Some(link) => Problem::critical(
            "interface.renamed",
            format!("{name} is now called {}", link.name),
            format!(
                "ip link set {} name {name}; or write the new name into gateway.interfaces and restart the daemon",
                link.name
            ),
        ),
        None => Problem::critical(
            "interface.gone",
            format!("there is no interface {name}"),
            "attach it; the daemon takes it up when it is there. If it is gone for good, take it out of gateway.interfaces",
        ),
    };
    problem.about(name)
}

fn state(link: &Link) -> Option<Problem> {
    let name = &link.name;
    let problem = if !link.up {
        Problem::critical(
            "interface.down",
            format!("{name} is down: no packet passes it"),
            format!("ip link set {name} up"),
        )
    } else if !link.running {
        Problem::critical(
            "interface.carrier",
            format!("{name} has no carrier: no packet passes it"),
            "look at the cable, the hypervisor's port, or whether the cloud has detached the NIC",
        )
    } else {
        return None;
    };
    Some(problem.about(name))
}

fn moved(link: &Link, then: Ipv4Addr, now: Option<Ipv4Addr>) -> Option<Problem> {
    let now = now.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let text = |addr: Ipv4Addr| {
        if addr.is_unspecified() {
            "none".to_owned()
        } else {
            addr.to_string()
        }
    };
    (now != then).then(|| {
        let name = &link.name;
        Problem::critical(
            "interface.address",
            format!(
                "{name}: the datapath takes its address for {}, and it is {}",
                text(then),
                text(now)
            ),
            "the daemon follows within a second if it works: start or restart it",
        )
        .about(name)
    })
}

/// Nobody answers ARP for an address that is on no interface, and what comes for it is lost.
fn lost_addresses(look: &Look<'_>, host: &Host) -> Vec<Problem> {
    let ours = |addr: &Ipv4Addr| host.addresses.iter().any(|address| address.addr == *addr);
    // Of an interface's own that has changed is told there.
    let known = interfaces(look.pins).unwrap_or_default();
    let told = |addr: &Ipv4Addr| known.iter().any(|known| known.addr == addr.octets());
    let externals = externals(look.pins).unwrap_or_default().into_iter();
    externals
        .filter(|addr| !ours(addr) && !told(addr))
        .map(|addr| {
            Problem::critical(
                "external.address",
                format!("external address {addr} is on no interface: answers to it never come back"),
                format!("ip addr add {addr}/32 dev lo if it is routed here, else on its interface; or take it out of the configuration"),
            )
            .about(addr.to_string())
        })
        .collect()
}
