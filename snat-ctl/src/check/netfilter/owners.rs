//! Whose a table or chain is, by the names that programs give theirs.

/// What a name begins with.
const CHAINS: [(&str, &str); 12] = [
    ("DOCKER", "Docker"),
    ("KUBE-", "Kubernetes"),
    ("CILIUM_", "Cilium"),
    ("OLD_CILIUM_", "Cilium"),
    ("cali-", "Calico"),
    ("CNI-", "a CNI plugin"),
    ("NETAVARK", "Podman"),
    ("LIBVIRT_", "libvirt"),
    ("ufw-", "ufw"),
    ("FLANNEL-", "Flannel"),
    ("FWDI_", "firewalld"),
    ("ts-", "Tailscale"),
];

const TABLES: [(&str, &str); 6] = [
    ("firewalld", "firewalld"),
    ("io.systemd.nat", "systemd-networkd"),
    ("kube-proxy", "Kubernetes"),
    ("libvirt_network", "libvirt"),
    ("netavark", "Podman"),
    ("docker-bridges", "Docker"),
];

pub(crate) fn of_chain(name: &str) -> Option<&'static str> {
    let known = CHAINS.iter().find(|(begins, _)| name.starts_with(begins));
    known.map(|(_, owner)| *owner)
}

pub(crate) fn of_table(name: &str) -> Option<&'static str> {
    let known = TABLES.iter().find(|(known, _)| name == *known);
    known.map(|(_, owner)| *owner)
}
