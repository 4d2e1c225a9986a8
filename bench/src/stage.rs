//! Where it happens: clients' side, gateway and servers' side, each a namespace, with a veth pair in between.

use anyhow::{Context as _, Result};
use nix::net::if_::if_nametoindex;
use snat_tests::{
    link::{connect, end},
    netns::Netns,
};

use crate::sys;

/// The gateway's device on the clients' side: a thread polls it.
pub(crate) const POLLED: &str = "lan0";

/// An interface, and who is behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port<'a> {
    /// Where it is.
    pub(crate) netns: &'a Netns,
    /// Its name.
    pub(crate) dev: &'static str,
    /// Its index.
    pub(crate) ifindex: u32,
    /// Its address.
    pub(crate) mac: [u8; 6],
    /// The address of the other end.
    pub(crate) peer_mac: [u8; 6],
    /// Who polls the gateway's device on the clients' side.
    pub(crate) poller: Poller,
}

/// Who polls the gateway's device on the clients' side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poller {
    /// A thread of the kernel's, on another CPU than those that make packets: as behind a NIC.
    Thread,
    /// Whoever sends, on the CPU he sends from: leaves the other CPU to what is measured beside the packets.
    Sender,
}

/// Whether the gateway has an interface for each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Clients at one, servers at the other.
    Routed,
    /// Both at the same.
    OneArm,
}

/// A standing stage.
#[derive(Debug)]
pub(crate) struct Stage {
    shape: Shape,
    poller: Poller,
    clients: Netns,
    gateway: Netns,
    servers: Option<Netns>,
}

/// The clients' router: what the gateway sends to clients goes there, and in one arm what it sends to servers, too.
pub(crate) const INSIDE: [u8; 4] = [172, 16, 0, 2];
/// The gateway's address towards clients.
pub(crate) const GATEWAY_INSIDE: [u8; 4] = [172, 16, 0, 1];
const OUTSIDE: [u8; 4] = [203, 0, 113, 1];
/// The gateway's address towards servers: what they see of translated packets.
pub(crate) const GATEWAY_OUTSIDE: [u8; 4] = [203, 0, 113, 10];

impl Stage {
    /// Builds it, neighbours known and forwarding on, polled by a thread.
    pub(crate) fn build(shape: Shape) -> Result<Self> {
        Self::polled(shape, Poller::Thread)
    }

    /// The same, and whoever makes packets takes them all the way: none is lost, however fast they come.
    pub(crate) fn on_one_cpu(shape: Shape) -> Result<Self> {
        Self::polled(shape, Poller::Sender)
    }

    /// The same, polled by either.
    pub(crate) fn polled(shape: Shape, poller: Poller) -> Result<Self> {
        let prefix = snat_tests::topology::unique_prefix();
        let netns = |name: &str| Netns::create(&format!("{prefix}{name}"));
        let stage = Self {
            shape,
            poller,
            clients: netns("in")?,
            gateway: netns("gw")?,
            servers: (shape == Shape::Routed).then(|| netns("out")).transpose()?,
        };
        let Self {
            clients, gateway, ..
        } = &stage;
        gateway.sysctl("net/ipv4/ip_forward", "1")?;
        // It has no connections of its own: all ports are the clients', as they are with masquerade.
        gateway.sysctl("net/ipv4/ip_local_reserved_ports", "1024-65535")?;
        for key in ["rp_filter", "send_redirects"] {
            gateway.sysctl(&format!("net/ipv4/conf/all/{key}"), "0")?;
            gateway.sysctl(&format!("net/ipv4/conf/default/{key}"), "0")?;
        }
        connect(
            end(gateway, POLLED, GATEWAY_INSIDE, 16),
            end(clients, "in0", INSIDE, 16),
        )?;
        clients.ip("route add local 172.16.64.0/22 dev lo\nroute add default via 172.16.0.1\n")?;
        gateway.ip("route add 172.16.64.0/22 via 172.16.0.2\n")?;
        let (router, way, far) = match &stage.servers {
            Some(servers) => {
                connect(
                    end(gateway, "wan0", GATEWAY_OUTSIDE, 24),
                    end(servers, "out0", OUTSIDE, 24),
                )?;
                servers.ip("route add default via 203.0.113.10\n")?;
                (OUTSIDE, "wan0", servers)
            }
            None => (INSIDE, POLLED, clients),
        };
        let [a, b, c, d] = router;
        gateway.ip(&format!(
            "route add default via {a}.{b}.{c}.{d} dev {way}\n"
        ))?;
        far.ip("route add local 198.18.0.0/15 dev lo\n")?;
        for port in stage.ports()? {
            // With GRO on, veth has NAPI: then the kernel's paths are served in polls as XDP's are.
            port.netns.run(&format!("ethtool -K {} gro on", port.dev))?;
        }
        stage.know_neighbours()?;
        if poller == Poller::Thread {
            sys::poll_by_thread(&stage.lan()?)?;
        }
        Ok(stage)
    }

    /// Where clients' packets come from.
    pub(crate) fn inside(&self) -> Result<Port<'_>> {
        self.port(&self.clients, "in0", INSIDE, GATEWAY_INSIDE)
    }

    /// The gateway's port to the clients.
    pub(crate) fn lan(&self) -> Result<Port<'_>> {
        self.port(&self.gateway, POLLED, GATEWAY_INSIDE, INSIDE)
    }

    /// The gateway's port to the servers.
    pub(crate) fn wan(&self) -> Result<Port<'_>> {
        match self.shape {
            Shape::Routed => self.port(&self.gateway, "wan0", GATEWAY_OUTSIDE, OUTSIDE),
            Shape::OneArm => self.lan(),
        }
    }

    /// Where translated packets arrive.
    pub(crate) fn outside(&self) -> Result<Port<'_>> {
        match &self.servers {
            Some(servers) => self.port(servers, "out0", OUTSIDE, GATEWAY_OUTSIDE),
            None => self.inside(),
        }
    }

    /// The address that servers see.
    pub(crate) fn external(&self) -> [u8; 4] {
        match self.shape {
            Shape::Routed => GATEWAY_OUTSIDE,
            Shape::OneArm => GATEWAY_INSIDE,
        }
    }

    /// The gateway's namespace.
    pub(crate) fn gateway(&self) -> &Netns {
        &self.gateway
    }

    /// Its interfaces, for a configuration.
    pub(crate) fn interfaces(&self) -> &'static [&'static str] {
        match self.shape {
            Shape::Routed => &[POLLED, "wan0"],
            Shape::OneArm => &[POLLED],
        }
    }

    /// All of them.
    pub(crate) fn ports(&self) -> Result<Vec<Port<'_>>> {
        Ok(vec![
            self.inside()?,
            self.lan()?,
            self.wan()?,
            self.outside()?,
        ])
    }

    /// Nobody has to ask, and nobody forgets.
    fn know_neighbours(&self) -> Result<()> {
        let pairs = [
            (self.lan()?, INSIDE),
            (self.inside()?, GATEWAY_INSIDE),
            (
                self.wan()?,
                if self.servers.is_some() {
                    OUTSIDE
                } else {
                    INSIDE
                },
            ),
        ];
        for (port, [a, b, c, d]) in pairs {
            let mac = port.peer_mac.map(|byte| format!("{byte:02x}")).join(":");
            port.netns.ip(&format!(
                "neigh replace {a}.{b}.{c}.{d} lladdr {mac} dev {} nud permanent\n",
                port.dev
            ))?;
        }
        Ok(())
    }

    fn port<'a>(
        &self,
        netns: &'a Netns,
        dev: &'static str,
        addr: [u8; 4],
        peer: [u8; 4],
    ) -> Result<Port<'a>> {
        let ifindex =
            netns.enter(|| if_nametoindex(dev).with_context(|| format!("finding {dev}")))?;
        // As `link::end` gives them.
        let mac = |[a, b, c, d]: [u8; 4]| [2, 0, a, b, c, d];
        Ok(Port {
            netns,
            dev,
            ifindex,
            mac: mac(addr),
            peer_mac: mac(peer),
            poller: self.poller,
        })
    }
}
