//! `snat-ctl import --live`: the kernel's NAT, and then the gateway with what was imported, look the same from outside.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Output,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    attempt::host,
    gateway::{Gateway, program},
    netns::Netns,
    topology::{Offloads, Shape, Topology, unique_prefix},
    whoami::{Client, WhoServer},
};

/// The gateway's second address, which the second client has.
const SECOND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
/// The server's second address, to which nobody is translated.
const UNTRANSLATED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 21);
const SERVICE: u16 = 80;
const FORWARDED: u16 = 8443;

const NFT: &str = "table ip gateway {
    chain in { type nat hook prerouting priority dstnat;
        iifname \"eth0\" tcp dport 8443 dnat to 172.16.1.11:80
    }
    chain out { type nat hook postrouting priority srcnat;
        ip daddr 198.51.100.21 return
        ip saddr 172.16.1.12 oifname \"eth0\" snat to 203.0.113.11
        oifname \"eth0\" masquerade
    }
}";

/// The same, one a line.
const IPTABLES: &str =
    "-A PREROUTING -i eth0 -p tcp --dport 8443 -j DNAT --to-destination 172.16.1.11:80
-A POSTROUTING -d 198.51.100.21 -j RETURN
-A POSTROUTING -s 172.16.1.12 -o eth0 -j SNAT --to-source 203.0.113.11
-A POSTROUTING -o eth0 -j MASQUERADE";

#[test]
fn rules_of_nft_are_taken_over() -> Result<()> {
    taken_over(|gw| gw.nft(NFT), |gw| gw.nft("delete table ip gateway"))
}

#[test]
fn rules_of_iptables_legacy_are_taken_over() -> Result<()> {
    by_iptables("iptables-legacy")
}

#[test]
fn rules_of_iptables_nft_are_taken_over() -> Result<()> {
    by_iptables("iptables-nft")
}

fn by_iptables(program: &str) -> Result<()> {
    let each = |gw: &Netns| {
        let mut rules = IPTABLES.lines();
        rules.try_for_each(|rule| gw.run(&format!("{program} -t nat {rule}")).map(drop))
    };
    taken_over(each, |gw| gw.run(&format!("{program} -t nat -F")).map(drop))
}

#[test]
fn what_is_left_out_is_named_and_told_by_the_exit_code() -> Result<()> {
    let host = host("import")?;
    let nothing = import(&host, &["--live"])?;
    ensure!(nothing.status.code() == Some(0), "{nothing:?}");
    ensure!(
        nothing.stdout.is_empty() && says(&nothing, "nothing to import"),
        "{nothing:?}"
    );

    host.nft("table ip odd { chain out { type nat hook postrouting priority srcnat; ct mark 1 masquerade; oifname eth0 masquerade; }; }")?;
    host.run("iptables-legacy -t nat -A PREROUTING -p udp --dport 7 -j REDIRECT --to-ports 9")?;
    let some = import(&host, &["--live"])?;
    ensure!(some.status.code() == Some(3), "{some:?}");
    ensure!(
        says(&some, "ct mark 1") && says(&some, "iptables-legacy-save line"),
        "{some:?}"
    );
    let json = import(&host, &["--live", "--json"])?;
    let json: Value = serde_json::from_slice(&json.stdout).context("no JSON")?;
    ensure!(json["rules"] == 3 && json["translated"] == 1, "{json:#}");

    let file = tempfile::NamedTempFile::new()?;
    let path = file.path().to_str().context("a path")?;
    let empty = import(&host, &[path])?;
    ensure!(
        empty.status.code() == Some(2) && says(&empty, "the input is empty"),
        "{empty:?}"
    );
    let kept = import(&host, &["--live", "--output", path])?;
    ensure!(
        kept.status.code() == Some(1) && says(&kept, "not there yet"),
        "{kept:?}"
    );
    Ok(())
}

/// Applies the rules and looks; imports, takes them away, runs the gateway, and looks again.
fn taken_over(
    apply: impl FnOnce(&Netns) -> Result<()>,
    remove: impl FnOnce(&Netns) -> Result<()>,
) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let gw = &topology.gateway.netns;
    gw.ip(&format!("addr add {SECOND}/24 dev eth0"))?;
    topology
        .server
        .netns
        .ip(&format!("addr add {UNTRANSLATED}/24 dev eth0"))?;
    let _services = (
        WhoServer::start(&topology.server.netns, SERVICE)?,
        WhoServer::start(&topology.clients[0].netns, SERVICE)?,
    );
    apply(gw)?;
    let before = Seen::look(&topology)?;
    let [first, second] = &topology.clients;
    let wanted = Seen {
        first: topology.external.into(),
        second: SECOND.into(),
        untranslated: second.addr.into(),
        forwarded: topology.server.addr.into(),
    };
    ensure!(
        before == wanted,
        "the kernel's NAT: {before:?}; {}",
        first.addr
    );

    let name = format!("{prefix}imported");
    let imported = import(gw, &["--live", "--name", &name])?;
    let config = String::from_utf8(imported.stdout.clone())?;
    ensure!(imported.status.success(), "{imported:?}");
    remove(gw)?;
    ensure!(
        Seen::look(&topology).is_err(),
        "without rules it is the same"
    );
    let _gateway = Gateway::start_with(&topology, &name, &config)?;
    let after = Seen::look(&topology)?;
    ensure!(
        after == before,
        "{before:?} became {after:?} with\n{config}"
    );
    Ok(())
}

/// As whom each is seen at the other end.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    first: IpAddr,
    second: IpAddr,
    untranslated: IpAddr,
    forwarded: IpAddr,
}

impl Seen {
    fn look(topology: &Topology) -> Result<Self> {
        let [first, second] = &topology.clients;
        let server = &topology.server;
        let forward = SocketAddr::new(topology.external.into(), FORWARDED);
        Ok(Self {
            first: who(&first.netns, (server.addr, SERVICE).into())?,
            second: who(&second.netns, (server.addr, SERVICE).into())?,
            untranslated: who(&second.netns, (UNTRANSLATED, SERVICE).into())?,
            forwarded: who(&server.netns, forward)?,
        })
    }
}

fn who(netns: &Netns, server: SocketAddr) -> Result<IpAddr> {
    netns.enter(|| Client::connect(server)?.ask())
}

fn import(netns: &Netns, arguments: &[&str]) -> Result<Output> {
    let mut command = netns.command(program()?);
    command.arg("import").args(arguments);
    command
        .output()
        .with_context(|| format!("starting {command:?}"))
}

fn says(output: &Output, text: &str) -> bool {
    String::from_utf8_lossy(&output.stderr).contains(text)
}
