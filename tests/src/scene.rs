//! A network with a gateway in it whose configuration a test writes in parts.

use std::{net::Ipv4Addr, ops::Range};

use anyhow::Result;

use crate::{
    gateway::{Gateway, config},
    topology::{Offloads, Shape, Topology, unique_prefix},
};

/// What differs from the configuration that most tests run with.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// `xdp`, `xdp-generic` or `tc`.
    pub datapath: &'a str,
    /// Where the gateway stands.
    pub shape: Shape,
    /// Lines for `[gateway]`.
    pub gateway: &'a str,
    /// Lines for the one `[[snat]]`.
    pub entry: &'a str,
    /// `external` of that entry; empty for the egress interface's own.
    pub external: &'a str,
    /// More sections.
    pub sections: &'a str,
    /// Addresses that the gateway has on `eth0` besides.
    pub addresses: &'a [[u8; 4]],
}

/// A network and the gateway that runs in it.
pub struct Scene {
    /// Goes first when both are dropped.
    pub gateway: Gateway,
    /// The network.
    pub topology: Topology,
}

impl Plan<'_> {
    /// A routed gateway that runs with what most tests do.
    #[must_use]
    pub const fn routed(datapath: &str) -> Plan<'_> {
        Plan {
            datapath,
            shape: Shape::Routed,
            gateway: "",
            entry: "",
            external: "",
            sections: "",
            addresses: &[],
        }
    }

    /// Builds the network and starts the gateway in it.
    pub fn start(&self) -> Result<Scene> {
        let prefix = unique_prefix();
        let topology = Topology::build(self.shape, Offloads::Off, &prefix)?;
        for addr in self.addresses {
            let addr = Ipv4Addr::from(*addr);
            topology
                .gateway
                .netns
                .ip(&format!("addr add {addr}/24 dev eth0"))?;
        }
        let name = format!("{prefix}it");
        let mut text = config(&topology, &name, self.datapath);
        if !self.external.is_empty() {
            text = text.replacen("[\"auto\"]", self.external, 1);
        }
        text = text.replacen("[[snat]]", &format!("{}\n\n[[snat]]", self.gateway), 1);
        text = text.replacen("[[bypass]]", &format!("{}\n\n[[bypass]]", self.entry), 1);
        text += self.sections;
        let gateway = Gateway::start_with(&topology, &name, &text)?;
        Ok(Scene { gateway, topology })
    }
}

impl Scene {
    /// Gives the first client 172.16.1.`hosts` besides its own address, each of them good for a client.
    pub fn more_clients(&self, hosts: Range<u8>) -> Result<Vec<Ipv4Addr>> {
        let addresses: Vec<_> = hosts.map(|host| Ipv4Addr::new(172, 16, 1, host)).collect();
        let lines: String = addresses
            .iter()
            .map(|addr| format!("addr add {addr}/32 dev eth0\n"))
            .collect();
        self.topology.clients[0].netns.ip(&lines)?;
        Ok(addresses)
    }

    /// Gives the server 198.51.100.`hosts` besides its own address.
    pub fn more_servers(&self, hosts: Range<u8>) -> Result<Vec<Ipv4Addr>> {
        let addresses: Vec<_> = hosts
            .map(|host| Ipv4Addr::new(198, 51, 100, host))
            .collect();
        let lines: String = addresses
            .iter()
            .map(|addr| format!("addr add {addr}/24 dev eth0\n"))
            .collect();
        self.topology.server.netns.ip(&lines)?;
        Ok(addresses)
    }
}
