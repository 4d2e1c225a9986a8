//! A gateway with two NICs: the clients' LAN on eth1, the external address on eth0 towards a provider's router.

use anyhow::Result;

use super::{Host, Offloads, Topology, clients, gateway, router, set_offloads};
use crate::{
    link::{bridge, connect, end, port},
    netns::Netns,
};

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
    connect(end(&gw, "eth1", [172, 16, 1, 1], 24), port(&lan, "gw"))?;
    bridge(&lan, "switch", &["c1", "c2", "gw"])?;
    connect(
        end(&gw, "eth0", [203, 0, 113, 10], 24),
        end(&isp, "gw", [203, 0, 113, 1], 24),
    )?;
    connect(
        end(&isp, "internet", [198, 51, 100, 1], 24),
        end(&srv, "eth0", [198, 51, 100, 20], 24),
    )?;

    for client in [&c1, &c2] {
        client.ip("route add default via 172.16.1.1")?;
    }
    gw.ip("route add default via 203.0.113.1")?;
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
    ];
    let wires = [&wires[..], &[(&isp, "internet"), (&srv, "eth0")]].concat();
    set_offloads(offloads, &wires, &[(&lan, "gw"), (&isp, "gw")])?;

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
        external: [203, 0, 113, 10].into(),
        interfaces: &["eth0", "eth1"],
        fabric: vec![lan, isp],
    })
}
