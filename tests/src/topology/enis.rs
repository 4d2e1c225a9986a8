//! A host with several network interfaces of its own (ENIs) in a VPC, each in a subnet with a gateway, and with an EIP.

use std::{
    iter,
    net::{Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context as _, Result};

use super::router;
use crate::{
    capture::Leaving,
    link::{bridge, connect, end, offloads_off, port},
    netns::Netns,
};

/// A network interface of `vm`, and what the VPC has at its other end. The IPv6 address is also a public one.
#[derive(Clone, Copy, Debug)]
pub struct Eni {
    /// Its name on `vm`.
    pub dev: &'static str,
    /// The router's interface in the same subnet.
    pub subnet: &'static str,
    /// Its primary address, in a /24.
    pub addr: Ipv4Addr,
    /// Its secondary addresses, in the same.
    pub further: &'static [Ipv4Addr],
    /// The router's address there.
    pub gateway: Ipv4Addr,
    /// The public address that the router maps to the primary one.
    pub eip: Ipv4Addr,
    /// The routing table that tests give it.
    pub table: u32,
    /// Its IPv6 address, in a /64.
    pub addr6: Ipv6Addr,
    /// The router's.
    pub gateway6: Ipv6Addr,
}

/// The one that has the default routes.
pub const ETH0: Eni = Eni {
    dev: "eth0",
    subnet: "subnet10",
    addr: Ipv4Addr::new(172, 16, 10, 10),
    further: &[],
    gateway: Ipv4Addr::new(172, 16, 10, 253),
    eip: Ipv4Addr::new(203, 0, 113, 10),
    table: 1000,
    addr6: Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x10),
    gateway6: Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0xfd),
};

/// The one of the documented example.
pub const ETH1: Eni = Eni {
    dev: "eth1",
    subnet: "subnet20",
    addr: Ipv4Addr::new(172, 16, 20, 193),
    further: &[Ipv4Addr::new(172, 16, 20, 177)],
    gateway: Ipv4Addr::new(172, 16, 20, 253),
    eip: Ipv4Addr::new(203, 0, 113, 20),
    table: 1001,
    addr6: Ipv6Addr::new(0x2001, 0xdb8, 0x20, 0, 0, 0, 0, 0x193),
    gateway6: Ipv6Addr::new(0x2001, 0xdb8, 0x20, 0, 0, 0, 0, 0xfd),
};

/// One that is only there once it is [plugged in](Enis::plug).
pub const ETH2: Eni = Eni {
    dev: "eth2",
    subnet: "subnet30",
    addr: Ipv4Addr::new(172, 16, 30, 30),
    further: &[],
    gateway: Ipv4Addr::new(172, 16, 30, 253),
    eip: Ipv4Addr::new(203, 0, 113, 30),
    table: 1002,
    addr6: Ipv6Addr::new(0x2001, 0xdb8, 0x30, 0, 0, 0, 0, 0x30),
    gateway6: Ipv6Addr::new(0x2001, 0xdb8, 0x30, 0, 0, 0, 0, 0xfd),
};

/// The Internet host.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
/// The same.
pub const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x20);
/// The container that [`Enis::add_container`] makes.
pub const CONTAINER: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);

/// A standing network: the host with ENIs, the VPC's router, which has the EIPs, an Internet host.
#[derive(Debug)]
pub struct Enis {
    /// The host. Its default routes, IPv4 and IPv6, are by eth0, as an operating system leaves it.
    pub vm: Netns,
    /// The router: stateless, and it takes any source from any subnet.
    pub vpc: Netns,
    /// The Internet host.
    pub srv: Netns,
    /// The container, if there is one.
    pub container: Option<Netns>,
    prefix: String,
}

impl Enis {
    /// Builds it, with [`ETH0`] and [`ETH1`]. `prefix` is as for [`super::Topology::build`].
    pub fn build(prefix: &str) -> Result<Self> {
        let enis = Self {
            vm: Netns::create(&format!("{prefix}vm"))?.with_ipv6()?,
            vpc: router(&format!("{prefix}vpc"))?.with_ipv6()?,
            srv: Netns::create(&format!("{prefix}srv"))?.with_ipv6()?,
            container: None,
            prefix: prefix.to_owned(),
        };
        let Self { vm, vpc, srv, .. } = &enis;
        vpc.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        // As distributions have it; and they put IPv6 addresses back that the kernel removes with the link.
        for conf in ["all", "default"] {
            vm.sysctl(&format!("net/ipv4/conf/{conf}/rp_filter"), "2")?;
            vm.sysctl(&format!("net/ipv6/conf/{conf}/keep_addr_on_down"), "1")?;
        }
        connect(
            end(vpc, "internet", [198, 51, 100, 1], 24),
            end(srv, "eth0", SERVER.octets(), 24),
        )?;
        vpc.ip("addr add 2001:db8:ffff::1/64 dev internet")?;
        srv.ip(&format!(
            "addr add {SERVER6}/64 dev eth0
             route add default via 198.51.100.1
             route add default via 2001:db8:ffff::1"
        ))?;
        offloads_off(vpc, "internet")?;
        offloads_off(srv, "eth0")?;
        map_eips(vpc)?;

        enis.plug(&ETH0)?;
        enis.plug(&ETH1)?;
        let Eni {
            gateway, gateway6, ..
        } = ETH0;
        vm.ip(&format!(
            "route add default via {gateway} dev eth0
             route add default via {gateway6} dev eth0"
        ))?;
        Ok(enis)
    }

    /// Plugs an ENI in: the same MAC and addresses each time, but another interface index. No default route.
    pub fn plug(&self, eni: &Eni) -> Result<()> {
        let Eni {
            dev, subnet, addr, ..
        } = *eni;
        let (vm, vpc) = (&self.vm, &self.vpc);
        connect(
            end(vm, dev, addr.octets(), 24),
            end(vpc, subnet, eni.gateway.octets(), 24),
        )?;
        let further: String = eni
            .further
            .iter()
            .map(|further| format!("addr add {further}/24 dev {dev}\n"))
            .collect();
        vm.ip(&format!("{further}addr add {}/64 dev {dev}\n", eni.addr6))?;
        vpc.ip(&format!("addr add {}/64 dev {subnet}\n", eni.gateway6))?;
        offloads_off(vm, dev)?;
        offloads_off(vpc, subnet)
    }

    /// Pulls it out.
    pub fn unplug(&self, eni: &Eni) -> Result<()> {
        self.vm.ip(&format!("link del {}", eni.dev))
    }

    /// Counts what `vm` sends by these ENIs, where it arrives: before the router could drop it.
    pub fn leaving(&self, enis: &[Eni]) -> Result<Leaving> {
        Leaving::watch(&self.vpc, enis.iter().map(|eni| (eni.dev, eni.subnet)))
    }

    /// From now on the router drops what comes from a subnet without a source address of that subnet, as clouds do.
    pub fn refuse_spoofed(&self) -> Result<()> {
        let rules: String = [ETH0, ETH1, ETH2]
            .iter()
            .map(|eni| {
                let Eni {
                    subnet,
                    gateway,
                    gateway6,
                    ..
                } = eni;
                format!(
                    "iifname \"{subnet}\" ip saddr != {gateway}/24 drop
                     iifname \"{subnet}\" ip6 saddr != {{ {gateway6}/64, fe80::/64 }} drop\n"
                )
            })
            .collect();
        self.vpc.nft(&format!(
            "table inet spoofed {{
                 chain in {{ type filter hook prerouting priority raw - 1; {rules} }}
             }}"
        ))
    }

    /// Gives `vm` a container as Docker would: a bridge, forwarding, and masquerading of what leaves.
    pub fn add_container(&mut self) -> Result<()> {
        let container = Netns::create(&format!("{}box", self.prefix))?;
        let vm = &self.vm;
        connect(
            end(&container, "eth0", CONTAINER.octets(), 16),
            port(vm, "veth0"),
        )?;
        bridge(vm, "br0", &["veth0"])?;
        vm.ip("addr add 172.17.0.1/16 dev br0")?;
        vm.sysctl("net/ipv4/ip_forward", "1")?;
        vm.nft(
            "table ip container {
                 chain post { type nat hook postrouting priority srcnat;
                     ip saddr 172.17.0.0/16 oifname != \"br0\" masquerade; }
             }",
        )?;
        container.ip("route add default via 172.17.0.1")?;
        offloads_off(&container, "eth0")?;
        offloads_off(vm, "veth0")?;
        self.container = Some(container);
        Ok(())
    }

    /// The namespaces, `vm` first.
    pub fn namespaces(&self) -> impl Iterator<Item = &Netns> {
        [&self.vm, &self.srv, &self.vpc]
            .into_iter()
            .chain(iter::once(self.container.as_ref()).flatten())
    }
}

/// Keeps no state, as in [`super::one_arm`].
fn map_eips(vpc: &Netns) -> Result<()> {
    let (mut inward, mut outward) = (String::new(), String::new());
    for Eni { addr, eip, .. } in [ETH0, ETH1, ETH2] {
        inward += &format!("iifname \"internet\" ip daddr {eip} ip daddr set {addr}\n");
        outward += &format!("oifname \"internet\" ip saddr {addr} ip saddr set {eip}\n");
    }
    vpc.nft(&format!(
        "table ip eip {{
             chain in {{ type filter hook prerouting priority raw; {inward} }}
             chain out {{ type filter hook postrouting priority srcnat; {outward} }}
         }}"
    ))
    .context("mapping EIPs")
}
