//! A gateway with two network cards that lead outside, each with an address and a router of its own: eth0, by which
//! the default route goes, and eth1. The clients' LAN is on eth2.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::{Host, Offloads, Topology, clients, gateway, router, set_offloads};
use crate::{
    link::{bridge, connect, end, offloads_off, port, receive_from_xdp},
    netns::Netns,
};

/// The gateway's address on eth0.
pub const ETH0: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// That on eth1.
pub const ETH1: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

pub(super) fn build(offloads: Offloads, prefix: &str) -> Result<Topology> {
    let make = |role: &str| format!("{prefix}{role}");
    let c1 = Netns::create(&make("c1"))?;
    let c2 = Netns::create(&make("c2"))?;
    let lan = Netns::create(&make("lan"))?;
    let gw = gateway(&make("gw"))?;
    let isp = router(&make("isp"))?;
    let srv = Netns::create(&make("srv"))?;

    connect(end(&c1, "eth0", [172, 16, 1, 11], 24), port(&lan, "c1"))?;
    connect(end(&c2, "eth0", [172, 16, 1, 12], 24), port(&lan, "c2"))?;
    connect(end(&gw, "eth2", [172, 16, 1, 1], 24), port(&lan, "gw"))?;
    bridge(&lan, "switch", &["c1", "c2", "gw"])?;
    connect(
        end(&gw, "eth0", ETH0.octets(), 24),
        end(&isp, "gw0", [203, 0, 113, 1], 24),
    )?;
    wire_eth1(&gw, &isp)?;
    connect(
        end(&isp, "internet", [198, 51, 100, 1], 24),
        end(&srv, "eth0", [198, 51, 100, 20], 24),
    )?;

    for client in [&c1, &c2] {
        client.ip("route add default via 172.16.1.1")?;
    }
    gw.ip("route add default via 203.0.113.1 metric 100")?;
    // Whatever leaks shall arrive and be answered, and so be caught by the capture there.
    isp.ip("route add 172.16.0.0/16 via 203.0.113.10")?;
    srv.ip("route add default via 198.51.100.1")?;

    let wires = [
        (&c1, "eth0"),
        (&c2, "eth0"),
        (&lan, "c1"),
        (&lan, "c2"),
        (&gw, "eth0"),
        (&gw, "eth1"),
        (&gw, "eth2"),
        (&isp, "internet"),
        (&srv, "eth0"),
    ];
    let peers = [(&lan, "gw"), (&isp, "gw0"), (&isp, "gw1")];
    set_offloads(offloads, &wires, &peers)?;

    Ok(Topology {
        clients: clients(c1, c2),
        gateway: Host {
            netns: gw,
            addr: [172, 16, 1, 1].into(),
        },
        server: Host {
            netns: srv,
            addr: [198, 51, 100, 20].into(),
        },
        external: ETH0,
        interfaces: &["eth0", "eth1", "eth2"],
        fabric: vec![lan, isp],
    })
}

/// Plugs eth1, which was pulled out, in again: the same name and address, another interface index, offloads off.
pub fn plug_eth1(gw: &Netns, isp: &Netns) -> Result<()> {
    wire_eth1(gw, isp)?;
    offloads_off(gw, "eth1")?;
    offloads_off(isp, "gw1")?;
    receive_from_xdp(isp, "gw1")
}

fn wire_eth1(gw: &Netns, isp: &Netns) -> Result<()> {
    connect(
        end(gw, "eth1", ETH1.octets(), 24),
        end(isp, "gw1", [192, 0, 2, 1], 24),
    )
}
