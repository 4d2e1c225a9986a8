//! What cannot work is refused with the reason and the place, and changes nothing.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    attempt::{Refusal, host},
    gateway::program,
    netns::Netns,
};

const FAILED: i32 = 1;
const WRONG_CONFIGURATION: i32 = 2;
const FOUND_A_PROBLEM: i32 = 3;

#[test]
fn a_wrong_configuration_is_refused_with_line_and_key() -> Result<()> {
    let host = host("no")?;
    let wrong = [
        (
            "interfaces = ",
            "interfacs = ",
            "snat.toml:3: gateway.interfacs: ",
        ),
        (
            "172.16.0.0/16",
            "172.16.0.0/33",
            "snat.toml:9: snat[1].source",
        ),
        (
            "172.16.0.0/16",
            "172.16.0.1/16",
            "snat.toml:9: snat[1].source",
        ),
        ("1024-2047", "2047-1024", "snat.toml:11: snat[1].ports: "),
        (
            "max_flows = 64",
            "max_flows = 16_777_217",
            "snat.toml:5: gateway.max_flows: ",
        ),
        (
            "datapath = \"tc\"",
            "datapath = \"dpdk\"",
            "snat.toml:4: gateway.datapath: ",
        ),
        (
            "\n\n[[snat]]",
            "\nmetrics = true\n\n[[snat]]",
            "gateway.metrics",
        ),
    ];
    for (right, instead, place) in wrong {
        let config = config(&host).replacen(right, instead, 1);
        let refusal = Refusal::of(&host, host.name(), &config)?;
        refusal.expect(
            WRONG_CONFIGURATION,
            &["error: snat.toml:", place, "accepted: "],
        )?;
    }
    Ok(())
}

#[test]
fn the_same_prefix_in_two_entries_is_refused_with_both_lines() -> Result<()> {
    let host = host("no")?;
    let twice = config(&host)
        + "\n[[snat]]\nname = \"b\"\nsource = [\"172.16.0.0/16\"]\nexternal = [\"auto\"]\n";
    let refusal = Refusal::of(&host, host.name(), &twice)?;
    refusal.expect(WRONG_CONFIGURATION, &["snat.toml:15: ", "overlaps line 9"])
}

#[test]
fn a_missing_file_is_refused_by_its_name() -> Result<()> {
    let host = host("no")?;
    let missing = Path::new("/nonexistent/gateway.toml");
    let refusal = Refusal::with_file(&host, host.name(), missing, &[])?;
    refusal.expect(WRONG_CONFIGURATION, &["snat.toml", "No such file"])
}

#[test]
fn a_host_that_cannot_be_the_gateway_is_refused_with_the_remedy() -> Result<()> {
    let host = host("no")?;
    let of = |right: &str, instead: &str| {
        Refusal::of(
            &host,
            host.name(),
            &config(&host).replacen(right, instead, 1),
        )
    };
    of("[\"eth0\"]", "[\"eth7\"]")?.expect(
        FAILED,
        &[
            "snat.toml:3: gateway.interfaces: there is no interface \"eth7\"",
            "eth0",
        ],
    )?;
    of("[\"auto\"]", "[\"192.0.2.99\"]")?.expect(
        FAILED,
        &[
            "snat.toml:7: ",
            "external address 192.0.2.99 is on no interface",
            "ip addr add",
        ],
    )?;
    host.sysctl("net/ipv4/ip_forward", "0")?;
    of("", "")?.expect(FAILED, &["ip_forward", "sysctl"])
}

/// RFC 4787 REQ-7.
#[test]
fn one_network_on_both_sides_is_refused_and_both_are_named() -> Result<()> {
    let host = host("no")?;
    host.ip("link add eth1 type veth peer name peer1
             addr add 192.0.2.7/24 dev eth1
             link set eth1 up
             link set peer1 up")?;
    let both = config(&host).replacen("[\"eth0\"]", "[\"eth0\", \"eth1\"]", 1);
    Refusal::of(&host, host.name(), &both)?.expect(
        FAILED,
        &[
            "eth0 and eth1 are both in 192.0.2.0/24, with 192.0.2.1 and 192.0.2.7",
            "ip addr del 192.0.2.7/24 dev eth1",
        ],
    )
}

#[test]
fn without_privileges_it_is_refused() -> Result<()> {
    let host = host("no")?;
    let drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let refusal = Refusal::wrapped(&host, host.name(), &config(&host), &drop)?;
    refusal.expect(
        FAILED,
        &["lacks CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON", "run as root"],
    )
}

#[test]
fn without_a_bpf_file_system_it_is_refused_with_the_mount_command() -> Result<()> {
    let host = host("no")?;
    let line = "umount /sys/fs/bpf && exec \"$@\"";
    let hidden = ["unshare", "--mount", "sh", "-c", line, "sh"];
    let refusal = Refusal::wrapped(&host, host.name(), &config(&host), &hidden)?;
    refusal.expect(FAILED, &["mount -t bpf bpf /sys/fs/bpf"])
}

#[test]
fn an_unprivileged_user_is_told_so_by_every_command() -> Result<()> {
    // The program may lie where only root can go.
    let dir = tempfile::tempdir_in("/tmp")?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    let copy = dir.path().join("snat-ctl");
    fs::copy(program()?, &copy)?;
    let host = host("no")?;
    let file = dir.path().join("snat.toml");
    fs::write(&file, config(&host))?;
    fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    let file = file.to_str().context("its path")?;
    // As systemd mounts it.
    let line = "mount -t bpf -o mode=700 bpf /sys/fs/bpf \
                && exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";
    let commands: [(&[&str], i32); 5] = [
        (&["status"], FAILED),
        (&["flows"], FAILED),
        (&["unload"], FAILED),
        (&["run", "--config", file], FAILED),
        (&["check", "--config", file], FOUND_A_PROBLEM),
    ];
    for (arguments, code) in commands {
        let mut command = host.command("timeout");
        let ended = command
            .args(["20", "unshare", "--mount", "sh", "-c", line, "sh"])
            .arg(&copy)
            .args(arguments)
            .output()?;
        ensure!(
            ended.status.code() == Some(code),
            "{arguments:?}: {ended:?}"
        );
        // What a check finds is its data.
        let said = if code == FOUND_A_PROBLEM {
            &ended.stdout
        } else {
            &ended.stderr
        };
        let said = String::from_utf8_lossy(said);
        ensure!(said.contains("run as root"), "{arguments:?}: {said}");
    }
    Ok(())
}

fn config(host: &Netns) -> String {
    format!(
        r#"[gateway]
name = "{}"
interfaces = ["eth0"]
datapath = "tc"
max_flows = 64

[[snat]]
name = "a"
source = ["172.16.0.0/16"]
external = ["auto"]
ports = "1024-2047"
"#,
        host.name()
    )
}
