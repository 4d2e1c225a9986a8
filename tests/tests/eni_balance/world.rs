//! A host with two ENIs, the router that both lead to, and a server behind it that tells everybody who he is.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};
use snat_ctl::eni::balance::{self, Slot};
use snat_tests::{
    cgroup::Cgroup,
    link::{connect, end},
    netns::Netns,
    topology::unique_prefix,
    udp::UdpEcho,
    whoami::{self, Client, Counts, WhoServer},
};

pub(crate) const ETH0: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 16, 10, 193));
pub(crate) const ETH1: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 16, 20, 193));
pub(crate) const ETH0_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 0x193));
pub(crate) const ETH1_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, 0, 0x193));

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 20));
const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, 0x20));

/// TCP, and UDP over IPv4: who am I?
pub(crate) const TCP: SocketAddr = SocketAddr::new(SERVER, 7001);
pub(crate) const TCP_V6: SocketAddr = SocketAddr::new(SERVER_V6, 7001);
pub(crate) const UDP: SocketAddr = SocketAddr::new(SERVER, 7002);

pub(crate) const MASK: u32 = 0xff00_0000;
/// Marks of the two.
pub(crate) const MARKS: [u32; 2] = [0x0100_0000, 0x0200_0000];

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct World {
    pub(crate) host: Netns,
    pub(crate) router: Netns,
    pub(crate) server: Netns,
    pub(crate) pins: PathBuf,
    cgroup: Cgroup,
    _tcp: WhoServer,
    _udp: UdpEcho,
}

impl World {
    pub(crate) fn new() -> Result<Self> {
        let prefix = unique_prefix();
        let host = Netns::create(&format!("{prefix}host"))?;
        let router = Netns::create(&format!("{prefix}router"))?;
        let server = Netns::create(&format!("{prefix}srv"))?;
        wire(&host, &router, &server)?;
        policy(&host)?;
        Ok(Self {
            _tcp: WhoServer::start(&server, TCP.port())?,
            _udp: UdpEcho::start(&server, UDP.port())?,
            pins: format!("/sys/fs/bpf/{prefix}balance").into(),
            cgroup: Cgroup::join()?,
            host,
            router,
            server,
        })
    }

    /// Shares connections between eth0 and eth1 by these weights.
    pub(crate) fn share(&self, weights: [u32; 2]) -> Result<()> {
        let slots = [0, 1].map(|eni: usize| Slot {
            mark: MARKS[eni],
            weight: weights[eni],
        });
        self.host.enter(|| {
            balance::install_on(&self.pins, self.cgroup.path(), MASK, &slots)
                .context("sharing connections")
        })
    }

    /// Opens and closes that many.
    pub(crate) fn connections(&self, server: SocketAddr, count: u32) -> Result<Counts> {
        whoami::connections(&self.host, server, count)
    }

    /// Connections that stay.
    pub(crate) fn clients(&self, server: SocketAddr, count: u32) -> Result<Vec<Client>> {
        self.host
            .enter(|| (0..count).map(|_| Client::connect(server)).collect())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(error) = balance::remove(&self.pins) {
            eprintln!("leaving {} behind: {error}", self.pins.display());
        }
    }
}

/// What comes by the wrong interface is dropped by the router.
fn wire(host: &Netns, router: &Netns, server: &Netns) -> Result<()> {
    for netns in [host, router, server] {
        for conf in ["all", "default"] {
            netns.sysctl(&format!("net/ipv6/conf/{conf}/disable_ipv6"), "0")?;
            netns.sysctl(&format!("net/ipv6/conf/{conf}/accept_dad"), "0")?;
        }
    }
    router.sysctl("net/ipv4/ip_forward", "1")?;
    router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    connect(
        end(host, "eth0", [172, 16, 10, 193], 24),
        end(router, "vpc0", [172, 16, 10, 253], 24),
    )?;
    connect(
        end(host, "eth1", [172, 16, 20, 193], 24),
        end(router, "vpc1", [172, 16, 20, 253], 24),
    )?;
    connect(
        end(server, "eth0", [198, 51, 100, 20], 24),
        end(router, "internet", [198, 51, 100, 1], 24),
    )?;
    host.ip(&format!(
        "addr add {ETH0_V6}/64 dev eth0 nodad
         addr add {ETH1_V6}/64 dev eth1 nodad"
    ))?;
    router.ip("addr add fd00:10::253/64 dev vpc0 nodad
         addr add fd00:20::253/64 dev vpc1 nodad
         addr add fd00:30::1/64 dev internet nodad")?;
    server.ip(&format!(
        "addr add {SERVER_V6}/64 dev eth0 nodad
         route add default via 198.51.100.1
         route add default via fd00:30::1"
    ))?;
    router.nft(&format!(
        "table inet ways {{
           chain forward {{
             type filter hook forward priority 0;
             iifname vpc0 ip saddr != {ETH0} drop
             iifname vpc0 ip6 saddr != {ETH0_V6} drop
             iifname vpc1 ip saddr != {ETH1} drop
             iifname vpc1 ip6 saddr != {ETH1_V6} drop
           }}
         }}"
    ))
}

/// As `snat-ctl eni` makes them: each address and each device by its own table, then the marks.
fn policy(host: &Netns) -> Result<()> {
    let families = [
        ("-4", ["172.16.10.253", "172.16.20.253"], [ETH0, ETH1]),
        ("-6", ["fd00:10::253", "fd00:20::253"], [ETH0_V6, ETH1_V6]),
    ];
    for (family, gateways, addrs) in families {
        let ip = |line: String| host.run(&format!("ip {family} {line}")).map(drop);
        ip("rule add pref 20000 lookup main suppress_prefixlength 0".to_owned())?;
        ip(format!("route add default via {} dev eth0", gateways[0]))?;
        for eni in [0, 1] {
            let (gateway, addr, mark) = (gateways[eni], addrs[eni], MARKS[eni]);
            let table = 1000 + eni;
            ip(format!(
                "route add default via {gateway} dev eth{eni} table {table}"
            ))?;
            ip(format!(
                "route add unreachable default metric 4294967295 table {table}"
            ))?;
            ip(format!("rule add pref 20010 from {addr} lookup {table}"))?;
            ip(format!("rule add pref 20020 oif eth{eni} lookup {table}"))?;
            ip(format!(
                "rule add pref 20030 fwmark {mark:#x}/{MASK:#x} lookup {table}"
            ))?;
        }
    }
    Ok(())
}
