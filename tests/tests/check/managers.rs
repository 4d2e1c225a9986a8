//! Other programs that configure the interface.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use snat_tests::{attempt::host, netns::Netns, program, wait};

use super::{SOON, as_machine, config, findings};

#[test]
fn networkd_and_network_manager_are_known_by_what_they_leave_in_run() -> Result<()> {
    let host = host("mgr")?;
    let config = config("[\"eth0\"]", "tc")?;
    let index = index(&host)?;
    let index = index.trim();
    for (id, dir, text, words) in [
        (
            "manager.networkd",
            "systemd/netif/links",
            "ADMIN_STATE=configured\\nNETWORK_FILE=/run/systemd/network/10-netplan-eth0.network",
            "written by netplan",
        ),
        (
            "manager.networkmanager",
            "NetworkManager/devices",
            "[device]\\nmanaged=true\\nconnection-uuid=5fb0-6bb0",
            "by connection 5fb0-6bb0",
        ),
    ] {
        let leave = format!(
            "mount -t tmpfs none /run && mkdir -p /run/{dir} && printf '{text}\\n' > /run/{dir}/{index}"
        );
        let found = by_machine(&host, &config, id, &leave)?;
        let what = found.first().and_then(|finding| finding["what"].as_str());
        ensure!(
            what.is_some_and(|what| what.contains(words)),
            "{id}: {found:?}"
        );

        let nothing = by_machine(&host, &config, id, "mount -t tmpfs none /run")?;
        ensure!(nothing.is_empty(), "{nothing:?}");
    }
    Ok(())
}

/// What is said in `/run` is about the machine's interfaces, not about those of another network namespace.
#[test]
fn another_network_namespace_has_no_managers_by_the_machines_files() -> Result<()> {
    let host = host("mgr")?;
    let config = config("[\"eth0\"]", "tc")?;
    let index = index(&host)?;
    let line = format!(
        "mount -t tmpfs none /run && mkdir -p /run/NetworkManager/devices \
         && printf 'managed=true\\n' > /run/NetworkManager/devices/{} && exec \"$@\"",
        index.trim()
    );
    let wrapper = ["unshare", "--mount", "sh", "-c", &line, "sh"];
    let found = findings(&host, &config, "manager.networkmanager", &wrapper)?;
    ensure!(found.is_empty(), "{found:?}");
    Ok(())
}

#[test]
fn a_dhcp_client_is_known_by_its_process_in_this_network_namespace() -> Result<()> {
    let (here, elsewhere) = (host("dhcp")?, host("else")?);
    let config = config("[\"eth0\"]", "tc")?;
    let dir = tempfile::tempdir()?;
    // Any program that waits will do: it is its name that is looked for.
    let client = dir.path().join("dhclient");
    fs::copy(program::find("sleep")?, &client)?;
    let start = |netns: &Netns| netns.command(&client).arg("60").spawn();

    let mut other = start(&elsewhere)?;
    ensure!(findings(&here, &config, "manager.dhcp", &[])?.is_empty());
    let mut own = start(&here)?;
    let told = wait::until(SOON, "the client is found", || {
        let found = findings(&here, &config, "manager.dhcp", &[])?;
        ensure!(found.len() == 1, "{found:?}");
        Ok(found)
    });
    for child in [&mut own, &mut other] {
        child.kill()?;
        child.wait()?;
    }
    ensure!(told?[0]["what"] == "eth0 has its address from a DHCP client (dhclient)");
    Ok(())
}

fn by_machine(
    host: &Netns,
    config: &tempfile::NamedTempFile,
    id: &str,
    line: &str,
) -> Result<Vec<serde_json::Value>> {
    let machine = as_machine(line);
    let machine: Vec<&str> = machine.iter().map(String::as_str).collect();
    findings(host, config, id, &machine)
}

fn index(host: &Netns) -> Result<String> {
    let shown = host.run("ip -o link show dev eth0")?;
    let index = shown.split(':').next().context("no index")?;
    Ok(index.to_owned())
}
