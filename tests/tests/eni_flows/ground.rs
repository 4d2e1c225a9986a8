//! A gateway with two ENIs, their policy routes made by hand, and clients that ask who they are.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use nix::net::if_::if_nametoindex;
use snat_ctl::datapath::{EniHint, Pins, follow_enis};
use snat_tests::{
    eni::Clients,
    scene::Plan,
    topology::{
        Shape,
        two_enis::{ETH0, ETH1},
    },
};

/// Where the default route goes.
const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

pub(crate) struct Ground {
    pub(crate) clients: Clients,
}

impl Ground {
    /// Starts the gateway and makes a table with a guard for each ENI.
    pub(crate) fn start(datapath: &str) -> Result<Self> {
        let clients = Clients::start(&Plan {
            shape: Shape::TwoEnis,
            gateway: "max_flows = 65536",
            ..Plan::routed(datapath)
        })?;
        clients.scene.topology.gateway.netns.ip(
            "route add default via 203.0.113.1 dev eth0 table 1000
             route add unreachable default metric 4294967295 table 1000
             rule add from 203.0.113.10 lookup 1000 priority 1000
             route add default via 192.0.2.1 dev eth1 table 1001
             route add unreachable default metric 4294967295 table 1001
             rule add from 192.0.2.10 lookup 1001 priority 1001",
        )?;
        Ok(Self { clients })
    }

    /// Tells the datapath of the weights of eth0 and eth1.
    pub(crate) fn follow(&self, weights: [u16; 2]) -> Result<()> {
        let netns = &self.clients.scene.topology.gateway.netns;
        let indices = netns.enter(|| Ok([if_nametoindex("eth0")?, if_nametoindex("eth1")?]))?;
        let hint = |nth: usize, default_route| EniHint {
            ifindex: indices[nth],
            weight: weights[nth],
            default_route,
        };
        let hints = [hint(0, Some((ROUTER, 100))), hint(1, None)];
        let sources = [ETH0.into(), ETH1.into()];
        let pins = Pins::of(self.clients.scene.gateway.name());
        ensure!(follow_enis(&pins, &sources, &hints)?, "nothing was changed");
        ensure!(
            !follow_enis(&pins, &sources, &hints)?,
            "the same is no change"
        );
        Ok(())
    }

    /// Takes eth1 down, as whoever watches the links would then tell the datapath.
    pub(crate) fn lose_eth1(&self) -> Result<()> {
        let gateway = &self.clients.scene.topology.gateway.netns;
        gateway.ip("link set eth1 down")?;
        self.follow([1, 0])
    }

    /// Brings it up, and back what went with it.
    pub(crate) fn restore_eth1(&self) -> Result<()> {
        self.clients
            .scene
            .topology
            .gateway
            .netns
            .ip("link set eth1 up
             route add default via 192.0.2.1 dev eth1 table 1001")?;
        self.follow([3, 1])
    }
}
