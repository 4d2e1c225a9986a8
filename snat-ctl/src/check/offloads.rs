//! What a NIC does to frames before XDP sees them.

use std::fs;

use super::{Finding, ethtool};
use crate::config::{Config, Datapath};

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    // In the stack the tag is beside the packet, where the programs look for it.
    if config.gateway.datapath == Datapath::Tc {
        return Vec::new();
    }
    let vlans = fs::read_to_string("/proc/thread-self/net/vlan/config").unwrap_or_default();
    let names = config.gateway.interfaces.iter();
    names
        .filter(|name| ethtool::takes_vlan_tags_out(name).unwrap_or(false))
        .map(|name| finding(name, &vlans_on(&vlans, name)))
        .collect()
}

/// Names of the VLAN devices on an interface; the lines are `eth0.7 | 7 | eth0` (`vlan_seq_show`).
fn vlans_on<'a>(table: &'a str, interface: &str) -> Vec<&'a str> {
    let rows = table.lines().map(|line| line.split('|').map(str::trim));
    rows.filter_map(|mut columns| {
        let (name, below) = (columns.next()?, columns.nth(1)?);
        (below == interface).then_some(name)
    })
    .collect()
}

fn finding(name: &str, vlans: &[&str]) -> Finding {
    let id = "interface.vlan_offload";
    let why = "XDP cannot see a tag that the NIC has taken out: it takes the packet for one of the untagged \
               network, and translates it";
    let fix = format!("ethtool -K {name} rxvlan off; or datapath = \"tc\"");
    let finding = if vlans.is_empty() {
        let what = format!(
            "{name} takes VLAN tags out of frames (rx-vlan-offload), and has no VLAN device"
        );
        let fix = format!("nothing, if no tagged frames come there; else {fix}");
        Finding::info(id, what, why, fix)
    } else {
        let what = format!(
            "{name} takes VLAN tags out of frames (rx-vlan-offload), and has VLAN devices: {}",
            vlans.join(", ")
        );
        Finding::warn(id, what, why, fix)
    };
    finding.about(name)
}

#[cfg(test)]
mod tests {
    use super::{super::Severity, finding, vlans_on};

    #[test]
    fn vlan_devices_are_found_by_the_interface_below_them() {
        let table = "VLAN Dev name    | VLAN ID\n\
                     Name-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n\
                     eth0.7         | 7  | eth0\n\
                     lan            | 8  | eth1\n";
        assert_eq!(vlans_on(table, "eth0"), ["eth0.7"]);
        assert_eq!(vlans_on(table, "eth1"), ["lan"]);
        assert_eq!(vlans_on(table, "eth2"), [""; 0]);
        assert_eq!(finding("eth0", &["eth0.7"]).severity, Severity::Warn);
        assert_eq!(finding("eth2", &[]).severity, Severity::Info);
    }
}
