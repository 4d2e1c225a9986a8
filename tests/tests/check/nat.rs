//! NAT and filter rules of others: what is said of them, and that it is so.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    attempt::host,
    netns::Netns,
    scene::{Plan, Scene},
    traffic::ECHO,
    udp::{self, UdpEcho},
};

use super::{check, config, findings};

const MASQUERADE: &str = "table ip nat {
    chain pre { type nat hook prerouting priority dstnat; ip daddr 198.51.100.20 udp dport 7 counter redirect to :9; }
    chain post { type nat hook postrouting priority srcnat; counter masquerade; }
}";
const CLOSED: &str = "table inet filter {
    chain forward { type filter hook forward priority 0; policy drop; }
}";

#[test]
fn nat_rules_are_found_by_table_whoever_made_them() -> Result<()> {
    let host = host("nat")?;
    let config = config("[\"eth0\"]", "tc")?;
    let nat = || findings(&host, &config, "netfilter.nat", &[]);
    let none = nat()?;
    ensure!(none.len() == 1 && none[0]["severity"] == "ok", "{none:?}");

    host.nft(MASQUERADE)?;
    host.run("iptables -t nat -N DOCKER")?;
    host.run("iptables -t nat -A DOCKER -p tcp --dport 80 -j DNAT --to-destination 10.0.0.1")?;
    host.run("iptables-legacy -t nat -A POSTROUTING -j MASQUERADE")?;
    let found = nat()?;
    let of = |table: &str| {
        let mut found = found.iter();
        let finding = found.find(|finding| finding["subject"] == table);
        let finding = finding.with_context(|| format!("no {table}"))?;
        ensure!(finding["severity"] == "warn", "{finding}");
        finding["what"].as_str().context("no what")
    };
    ensure!(
        of("nat (iptables-legacy)")?.ends_with("has NAT rules: 1 (masquerade)"),
        "{found:?}"
    );
    ensure!(
        of("ip nat")? == "table ip nat (of Docker) has NAT rules: 3 (dnat, masquerade, redirect)",
        "{found:?}"
    );
    Ok(())
}

/// What netfilter never sees it cannot translate twice; and what the gateway leaves to the kernel it translates.
#[test]
fn translated_packets_pass_nat_rules_by_and_bypassed_ones_do_not() -> Result<()> {
    let (scene, _echo) = with_bypassed_server()?;
    let client = &scene.topology.clients[0];
    ensure!(source_of_bypassed(&scene)? == Some(client.addr.into()));

    let gw = &scene.topology.gateway.netns;
    gw.nft(MASQUERADE)?;
    let translated = SocketAddrV4::new(scene.topology.server.addr, ECHO);
    let seen = udp::exchange(&client.netns, translated, 4001, 3)?;
    ensure!(seen.ip() == scene.topology.translated(), "{seen}");
    ensure!(counted(gw)? == [0, 0], "netfilter saw translated packets");

    ensure!(source_of_bypassed(&scene)? == Some(scene.topology.translated().into()));
    let [_, masqueraded] = counted(gw)?;
    ensure!(masqueraded > 0, "netfilter did not see it");
    // It is followed from now on, so there is something to say of that as well.
    let config = config("[\"eth0\", \"eth1\"]", "tc")?;
    let live = findings(gw, &config, "netfilter.conntrack", &[])?;
    ensure!(live.len() == 1 && live[0]["severity"] == "info", "{live:?}");
    Ok(())
}

#[test]
fn a_closed_forward_chain_is_told_and_stops_bypassed_packets_only() -> Result<()> {
    let (scene, _echo) = with_bypassed_server()?;
    let gw = &scene.topology.gateway.netns;
    let config = config("[\"eth0\", \"eth1\"]", "tc")?;
    let told = || findings(gw, &config, "netfilter.forward", &[]);
    ensure!(told()?.is_empty());
    ensure!(source_of_bypassed(&scene)?.is_some());

    gw.nft(CLOSED)?;
    let told = told()?;
    ensure!(
        told.len() == 1 && told[0]["subject"] == "inet filter forward",
        "{told:?}"
    );
    let client = &scene.topology.clients[0].netns;
    udp::exchange(
        client,
        SocketAddrV4::new(scene.topology.server.addr, ECHO),
        4001,
        3,
    )?;
    ensure!(source_of_bypassed(&scene)?.is_none(), "it is forwarded");
    Ok(())
}

#[test]
fn rules_that_cannot_be_read_are_not_taken_for_none() -> Result<()> {
    let host = host("nat")?;
    let config = config("[\"eth0\"]", "tc")?;
    let hidden =
        "mount --bind /dev/null \"$(command -v nft || echo /usr/sbin/nft)\" && exec \"$@\"";
    let without_nft = ["unshare", "--mount", "sh", "-c", hidden, "sh"];
    let unread = findings(&host, &config, "netfilter.unread", &without_nft)?;
    ensure!(
        unread.len() == 1 && unread[0]["severity"] == "info",
        "{unread:?}"
    );
    ensure!(findings(&host, &config, "netfilter.nat", &without_nft)?.is_empty());
    let ended = check(&host, &config, &[], &[])?;
    ensure!(ended.status.success(), "{ended:?}");
    Ok(())
}

/// In `[[bypass]]`, behind the same router as the server.
const BYPASSED: [u8; 4] = [172, 20, 0, 20];

fn with_bypassed_server() -> Result<(Scene, UdpEcho)> {
    let scene = Plan::routed("tc").start()?;
    let topology = &scene.topology;
    topology
        .server
        .netns
        .ip("addr add 172.20.0.20/32 dev eth0")?;
    topology.fabric[1].ip("route add 172.20.0.0/16 via 198.51.100.20")?;
    let echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    Ok((scene, echo))
}

/// Whom a client's datagram to the bypassed address comes from, if it comes.
fn source_of_bypassed(scene: &Scene) -> Result<Option<IpAddr>> {
    let server = scene.topology.server.netns.enter(|| {
        let server = UdpSocket::bind((Ipv4Addr::from(BYPASSED), 9))?;
        server.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(server)
    })?;
    scene.topology.clients[0].netns.enter(|| {
        let client = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        client.send_to(b"x", (Ipv4Addr::from(BYPASSED), 9))?;
        Ok(())
    })?;
    let received = server.recv_from(&mut [0; 8]);
    Ok(received.ok().map(|(_, from)| from.ip()))
}

/// Packets that the two rules have counted: those that begin a connection.
fn counted(netns: &Netns) -> Result<[u64; 2]> {
    let text = netns.run("nft list table ip nat")?;
    let counts = text.split("counter packets ").skip(1);
    let counts = counts.filter_map(|rest| rest.split(' ').next()?.parse().ok());
    let counts: Vec<u64> = counts.collect();
    counts
        .try_into()
        .map_err(|counts| anyhow::anyhow!("{counts:?} in {text}"))
}
