//! A VPC: its router sends the clients' default route to a one-NIC SNAT server, and what comes from
//! that server to the edge, which maps private address and EIP one to one.

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
    let vpc = router(&make("vpc"))?;
    let gw = gateway(&make("gw"))?;
    let edge = router(&make("edge"))?;
    let srv = Netns::create(&make("srv"))?;

    connect(end(&c1, "eth0", [172, 16, 1, 11], 24), port(&vpc, "c1"))?;
    connect(end(&c2, "eth0", [172, 16, 1, 12], 24), port(&vpc, "c2"))?;
    bridge(&vpc, "subnet1", &["c1", "c2"])?;
    connect(
        end(&gw, "eth0", [172, 16, 0, 10], 24),
        end(&vpc, "subnet0", [172, 16, 0, 1], 24),
    )?;
    connect(
        end(&vpc, "edge", [10, 255, 0, 1], 30),
        end(&edge, "vpc", [10, 255, 0, 2], 30),
    )?;
    connect(
        end(&edge, "internet", [198, 51, 100, 1], 24),
        end(&srv, "eth0", [198, 51, 100, 20], 24),
    )?;

    for client in [&c1, &c2] {
        client.ip("route add default via 172.16.1.1")?;
    }
    gw.ip("route add default via 172.16.0.1")?;
    // Table 100 is the VPC's route table, for what instances send; the SNAT server's own traffic
    // has an EIP and goes to the edge.
    vpc.ip("addr add 172.16.1.1/24 dev subnet1
            route add default via 10.255.0.2
            route add 172.16.0.0/24 dev subnet0 table 100
            route add 172.16.1.0/24 dev subnet1 table 100
            route add default via 172.16.0.10 table 100
            rule add iif subnet1 lookup 100 priority 100")?;
    edge.ip("route add 172.16.0.0/16 via 10.255.0.1")?;
    // Whatever leaks shall arrive and be answered, and so be caught by the capture there.
    srv.ip("route add default via 198.51.100.1")?;
    // Payload rewriting keeps no state: the edge of a VPC does not either, and cannot mend our mistakes.
    edge.nft(
        "table ip eip {
             chain in { type filter hook prerouting priority raw;
                 iifname \"internet\" ip daddr 203.0.113.10 ip daddr set 172.16.0.10; }
             chain out { type filter hook postrouting priority srcnat;
                 oifname \"internet\" ip saddr 172.16.0.10 ip saddr set 203.0.113.10; }
         }",
    )?;

    let wires = [
        (&c1, "eth0"),
        (&c2, "eth0"),
        (&vpc, "c1"),
        (&vpc, "c2"),
        (&gw, "eth0"),
        (&vpc, "edge"),
    ];
    let wires = [
        &wires[..],
        &[(&edge, "vpc"), (&edge, "internet"), (&srv, "eth0")],
    ]
    .concat();
    set_offloads(offloads, &wires, &[(&vpc, "subnet0")])?;

    Ok(Topology {
        clients: clients(c1, c2),
        gateway: Host {
            netns: gw,
            addr: [172, 16, 0, 10].into(),
        },
        server: Host {
            netns: srv,
            addr: [198, 51, 100, 20].into(),
        },
        external: [203, 0, 113, 10].into(),
        interfaces: &["eth0"],
        fabric: vec![vpc, edge],
    })
}
