//! TC programs of others on the gateway's interfaces: they work beside ours.

use std::collections::HashSet;

use super::Finding;
use crate::{
    datapath::{clsact, tcx_programs},
    netlink::{self, Link},
};

pub(super) fn findings(link: &Link, own: &HashSet<u32>) -> Option<Finding> {
    let mut others = Vec::new();
    for (way, ingress) in [("ingress", true), ("egress", false)] {
        // Before Linux 6.6 there is no TCX.
        let tcx = tcx_programs(&link.name, ingress).unwrap_or_default();
        let tcx = tcx.into_iter().filter(|(id, _)| !own.contains(id));
        others
            .extend(tcx.map(|(id, name)| program(name.as_deref(), &format!("id {id}, TCX {way}"))));
        let filters = netlink::bpf_filters(link.index, ingress).unwrap_or_default();
        let filters = filters.iter().filter(|filter| !clsact::is_ours(filter));
        others.extend(filters.map(|filter| {
            let place = format!("clsact {way}, preference {}", filter.priority);
            program(filter.name.as_deref(), &place)
        }));
    }
    finding(&link.name, &others)
}

fn program(name: Option<&str>, place: &str) -> String {
    format!("{} ({place})", name.unwrap_or("?"))
}

fn finding(interface: &str, others: &[String]) -> Option<Finding> {
    (!others.is_empty()).then(|| {
        Finding::warn(
            "interface.foreign_tc",
            format!("{interface} has TC programs of somebody else: {}", others.join(", ")),
            "one that runs before the gateway's may take or change packets that it should translate; one behind it \
             sees only what the gateway leaves to the kernel",
            format!("if they are not needed, stop the program that put them there; `bpftool net show dev {interface}` shows the order"),
        )
        .about(interface)
    })
}
