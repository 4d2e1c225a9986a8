//! Rules of programs that keep their own: they stay theirs.

use super::model::Chain;
use crate::check::owners;

/// Those whose NAT is for containers and virtual machines of this host. What firewalld, ufw and networkd hold is the
/// user's own.
const OTHERS: [&str; 9] = [
    "Docker",
    "Kubernetes",
    "Cilium",
    "Calico",
    "a CNI plugin",
    "Podman",
    "libvirt",
    "Flannel",
    "Tailscale",
];

/// What the bridges of such programs are called.
const BRIDGES: [&str; 10] = [
    "docker", "br-", "virbr", "cni", "podman", "lxcbr", "lxdbr", "cali", "flannel", "cilium",
];

/// Whose the chain is, if one of those.
pub(super) fn owner(chain: &Chain) -> Option<&'static str> {
    let table = chain
        .table
        .split_once(' ')
        .map_or(chain.table.as_str(), |(_, name)| name);
    let found = owners::of_chain(&chain.name).or_else(|| owners::of_table(table))?;
    OTHERS.contains(&found).then_some(found)
}

/// Whether an interface is a bridge of such a program, by its name.
pub(super) fn is_bridge(name: &str) -> bool {
    BRIDGES.iter().any(|begins| name.starts_with(begins))
}
