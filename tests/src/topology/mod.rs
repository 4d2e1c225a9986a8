//! The networks that tests and labs run in.

pub mod enis;
mod one_arm;
mod routed;
pub mod two_enis;

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;

use crate::{link, netns::Netns};

/// A machine with its one address that matters.
#[derive(Debug)]
pub struct Host {
    /// Its namespace.
    pub netns: Netns,
    /// Its address; on its interface `eth0`.
    pub addr: Ipv4Addr,
}

/// Where the gateway stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One NIC, in and out, in a VPC; an edge maps its private address to the EIP one to one.
    OneArm,
    /// The clients' LAN on eth1, the external address on eth0.
    Routed,
    /// The clients' LAN on eth2; eth0 with 203.0.113.10 and eth1 with 192.0.2.10 lead outside, to `gw0` and `gw1` of
    /// one router.
    TwoEnis,
}

/// What the NICs leave undone in the packets they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloads {
    /// Nothing: each packet is as on a wire, its checksums complete.
    Off,
    /// All that veth knows: segmentation (TSO, GSO), merging (GRO), checksums.
    On,
}

/// A standing network: two clients without a public address, a gateway, an Internet host.
#[derive(Debug)]
pub struct Topology {
    /// 172.16.1.11 and 172.16.1.12.
    pub clients: [Host; 2],
    /// The machine `snat-ctl` runs on; `addr` is where clients reach the machine itself.
    pub gateway: Host,
    /// The Internet host, 198.51.100.20.
    pub server: Host,
    /// The address clients appear with outside: the EIP, 203.0.113.10.
    pub external: Ipv4Addr,
    /// The gateway's interfaces for the configuration.
    pub interfaces: &'static [&'static str],
    /// Routers, switches, the edge.
    pub fabric: Vec<Netns>,
}

impl Topology {
    /// Builds one. `prefix` starts the namespaces' names; give [`unique_prefix`] in tests.
    pub fn build(shape: Shape, offloads: Offloads, prefix: &str) -> Result<Self> {
        match shape {
            Shape::OneArm => one_arm::build(offloads, prefix),
            Shape::Routed => routed::build(offloads, prefix),
            Shape::TwoEnis => two_enis::build(offloads, prefix),
        }
    }

    /// The interface next to the gateway on the way out, before anybody could mend what leaks.
    #[must_use]
    pub fn outside(&self) -> (&Netns, &'static str) {
        let dev = if self.is_one_arm() { "vpc" } else { "gw" };
        (&self.fabric[1], dev)
    }

    /// As whom translated packets pass there.
    #[must_use]
    pub fn translated(&self) -> Ipv4Addr {
        if self.is_one_arm() {
            self.gateway.addr
        } else {
            self.external
        }
    }

    fn is_one_arm(&self) -> bool {
        self.interfaces.len() == 1
    }

    /// The namespaces, clients first.
    pub fn namespaces(&self) -> impl Iterator<Item = &Netns> {
        self.clients
            .iter()
            .chain([&self.gateway, &self.server])
            .map(|host| &host.netns)
            .chain(&self.fabric)
    }
}

/// A prefix no other topology of any running test process has.
#[must_use]
pub fn unique_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "snat-{}-{}-",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The two clients of a topology, by their namespaces.
fn clients(c1: Netns, c2: Netns) -> [Host; 2] {
    let client = |netns, last| Host {
        netns,
        addr: [172, 16, 1, last].into(),
    };
    [client(c1, 11), client(c2, 12)]
}

/// Makes the namespace of a router: forwards, trusts any source, sends no redirects.
fn router(name: &str) -> Result<Netns> {
    let netns = Netns::create(name)?;
    netns.sysctl("net/ipv4/ip_forward", "1")?;
    for key in ["rp_filter", "send_redirects"] {
        netns.sysctl(&format!("net/ipv4/conf/all/{key}"), "0")?;
        netns.sysctl(&format!("net/ipv4/conf/default/{key}"), "0")?;
    }
    Ok(netns)
}

/// Makes the gateway's namespace, set as a distribution would (loose reverse-path filter) and as
/// `snat-ctl check` asks for (forwarding on, no redirects: in one-arm they would send clients past it).
fn gateway(name: &str) -> Result<Netns> {
    let netns = Netns::create(name)?;
    netns.sysctl("net/ipv4/ip_forward", "1")?;
    for conf in ["all", "default"] {
        netns.sysctl(&format!("net/ipv4/conf/{conf}/rp_filter"), "2")?;
        netns.sysctl(&format!("net/ipv4/conf/{conf}/send_redirects"), "0")?;
    }
    Ok(netns)
}

/// Sets the offloads of all devices; `peers` are those that receive what XDP in the gateway sends.
fn set_offloads(
    offloads: Offloads,
    devices: &[(&Netns, &str)],
    peers: &[(&Netns, &str)],
) -> Result<()> {
    for (netns, dev) in devices.iter().chain(peers) {
        match offloads {
            Offloads::Off => link::offloads_off(netns, dev)?,
            Offloads::On => {
                netns.run(&format!("ethtool -K {dev} gro on"))?;
            }
        }
    }
    if offloads == Offloads::Off {
        for (netns, dev) in peers {
            link::receive_from_xdp(netns, dev)?;
        }
    }
    Ok(())
}
