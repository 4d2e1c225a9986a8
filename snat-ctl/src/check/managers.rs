//! Other programs that configure the gateway's interfaces, by what they leave in files and in the process table.

use std::{fs, path::Path};

use super::{Finding, Network};
use crate::{config::Config, netns};

/// DHCP clients, by the names of their processes.
const DHCP: [&str; 3] = ["dhclient", "dhcpcd", "udhcpc"];
const CLOUD_INIT: &str = "/etc/netplan/50-cloud-init.yaml";

/// The state of networkd and NetworkManager is about the machine's own namespace: in another it says nothing.
pub(super) fn findings(config: &Config, network: &Network) -> Vec<Finding> {
    let names = config.gateway.interfaces.iter();
    let links = names.filter_map(|name| network.link(name));
    let clients = dhcp_clients();
    let mut findings = Vec::new();
    for link in links {
        if netns::is_the_machines() {
            let read = |path: &str| fs::read_to_string(path).ok();
            findings.extend(networkd(&link.name, link.index, read));
            findings.extend(network_manager(&link.name, link.index, read));
        }
        findings.extend(dhcp(&link.name, &clients));
    }
    findings
}

/// `/run/systemd/netif/links/INDEX` says what an interface is configured from (`networkctl` reads it too).
fn networkd(name: &str, index: u32, read: impl Fn(&str) -> Option<String>) -> Option<Finding> {
    let state = read(&format!("/run/systemd/netif/links/{index}"))?;
    let file = state
        .lines()
        .find_map(|line| line.strip_prefix("NETWORK_FILE="))?;
    let text = read(file).unwrap_or_default();
    let author = if file.starts_with("/run/systemd/network/10-netplan-") {
        match read(CLOUD_INIT) {
            Some(_) => ", written by netplan from what cloud-init gave it",
            None => ", written by netplan",
        }
    } else if text.contains("policy-routes@") {
        ", written by amazon-ec2-net-utils"
    } else {
        ""
    };
    let file_name = Path::new(file).file_name()?.to_string_lossy().into_owned();
    let finding = Finding::info(
        "manager.networkd",
        format!("{name} is configured by systemd-networkd from {file}{author}"),
        "what it has not put on the interface itself (an address for external, a route) it may take away when it \
         starts anew or the link comes back",
        format!(
            "put further addresses and routes into /etc/systemd/network/{file_name}.d/50-snat.conf"
        ),
    );
    Some(finding.about(name))
}

/// `/run/NetworkManager/devices/INDEX`, a file of sections and keys.
fn network_manager(
    name: &str,
    index: u32,
    read: impl Fn(&str) -> Option<String>,
) -> Option<Finding> {
    let state = read(&format!("/run/NetworkManager/devices/{index}"))?;
    let is = |line: &str| state.lines().any(|other| other == line);
    if !is("managed=true") {
        return None;
    }
    let uuid = state
        .lines()
        .find_map(|line| line.strip_prefix("connection-uuid="));
    let connection = uuid.map_or_else(String::new, |uuid| format!(" by connection {uuid}"));
    let finding = Finding::info(
        "manager.networkmanager",
        format!("{name} is configured by NetworkManager{connection}"),
        "what it has not put on the interface itself (an address for external, a route) it may take away when it \
         activates the connection anew; nm-cloud-setup adds rules and tables from 30200 on",
        format!(
            "put further addresses into the connection: nmcli connection modify {} +ipv4.addresses ADDRESS",
            uuid.unwrap_or(name)
        ),
    );
    Some(finding.about(name))
}

/// A DHCP client's process: its name and its arguments.
type Client = (String, Vec<String>);

fn dhcp(name: &str, clients: &[Client]) -> Option<Finding> {
    let serves = |(_, arguments): &&Client| {
        let names_any = arguments
            .iter()
            .any(|word| Path::new("/sys/class/net").join(word).exists());
        arguments.iter().any(|word| word == name) || !names_any
    };
    let (client, _) = clients.iter().find(serves)?;
    let finding = Finding::info(
        "manager.dhcp",
        format!("{name} has its address from a DHCP client ({client})"),
        "another address at a renewal is another external address where external = [\"auto\"]: new flows use \
         it at once, open connections end",
        "see that the cloud always gives the same (a fixed private address of the NIC)",
    );
    Some(finding.about(name))
}

/// Those in this network namespace.
fn dhcp_clients() -> Vec<Client> {
    let here = fs::read_link("/proc/thread-self/ns/net").ok();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let clients = processes.filter_map(|process| {
        let dir = process.path();
        let comm = fs::read_to_string(dir.join("comm")).ok()?;
        let comm = comm.trim();
        if !DHCP.contains(&comm) || fs::read_link(dir.join("ns/net")).ok() != here {
            return None;
        }
        let arguments = fs::read(dir.join("cmdline")).ok()?;
        let words = arguments.split(|byte| *byte == 0);
        let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
        Some((
            comm.to_owned(),
            words.filter(|word| !word.is_empty()).skip(1).collect(),
        ))
    });
    clients.collect()
}

#[cfg(test)]
mod tests {
    use super::{CLOUD_INIT, dhcp, network_manager, networkd};

    #[test]
    fn networkd_is_named_with_its_file_and_who_wrote_that() {
        let netplan = "/run/systemd/network/10-netplan-eth0.network";
        let amazon = "/run/systemd/network/70-eth0.network";
        for (file, text, cloud_init, author) in [
            ("/etc/systemd/network/a.network", "", false, "/a.network"),
            (netplan, "", false, "written by netplan"),
            (netplan, "", true, "from what cloud-init gave it"),
            (
                amazon,
                "# by policy-routes@eth0",
                false,
                "amazon-ec2-net-utils",
            ),
        ] {
            let read = |path: &str| match path {
                "/run/systemd/netif/links/2" => {
                    Some(format!("ADMIN_STATE=configured\nNETWORK_FILE={file}\n"))
                }
                CLOUD_INIT => cloud_init.then(String::new),
                path => (path == file).then(|| text.to_owned()),
            };
            let found = networkd("eth0", 2, read).unwrap();
            assert!(found.what.ends_with(author), "{found}");
        }
        let unmanaged = |_: &str| Some("ADMIN_STATE=unmanaged\n".to_owned());
        assert_eq!(networkd("eth0", 2, unmanaged), None);
    }

    #[test]
    fn network_manager_is_named_where_it_manages_the_interface() {
        let of = |state: &str| network_manager("eth0", 2, |_| Some(state.to_owned()));
        let found = of("[device]\nmanaged=true\nconnection-uuid=5fb0\n").unwrap();
        assert!(found.what.ends_with("by connection 5fb0"), "{found}");
        assert_eq!(of("[device]\nmanaged=false\n"), None);
    }

    #[test]
    fn a_dhcp_client_serves_the_interfaces_that_it_names_or_all() {
        let client = |words: &[&str]| {
            let words = words.iter().map(ToString::to_string).collect();
            [("dhclient".to_owned(), words)]
        };
        assert!(dhcp("eth0", &client(&["-4", "eth0"])).is_some());
        assert!(dhcp("eth0", &client(&["-b"])).is_some());
        assert!(dhcp("eth0", &client(&["-4", "lo"])).is_none());
        assert!(dhcp("eth0", &[]).is_none());
    }
}
