//! The network of a soak, and the gateway in it with timeouts so short that all is over soon after the load.

use std::{fmt::Write as _, ops::Range};

use anyhow::Result;

use super::clock::WallClock;
use crate::scene::{Plan, Scene};

/// What clients are translated to.
pub(super) const EXTERNALS: [[u8; 4]; 2] = [[203, 0, 113, 10], SECOND];
/// The external address that a disturbance takes away and gives back.
pub(super) const SECOND: [u8; 4] = [203, 0, 113, 11];
/// The last bytes of the addresses that each client host speaks from, 172.16.1.x.
pub(super) const CLIENTS: [Range<u8>; 2] = [20..80, 80..140];

/// Longer than a link is down: a connection that closes then must be able to say so afterwards.
const SECTIONS: &str = r#"
[timeouts]
tcp_opening = "6s"
tcp_established = "10m"
tcp_closing = "6s"
udp = "5s"
icmp = "5s"
port_rest = "2s"
"#;

/// Builds it and starts the gateway.
pub(super) fn build(datapath: &str, clock: &WallClock) -> Result<Scene> {
    let mut scene = Plan {
        gateway: "max_flows = 8192",
        external: "[\"203.0.113.10\", \"203.0.113.11\"]",
        sections: SECTIONS,
        addresses: &[SECOND],
        ..Plan::routed(datapath)
    }
    .start()?;
    scene.gateway.set_environment(clock.variables());
    scene.gateway.stop()?;
    scene.gateway.start_again()?;
    let topology = &scene.topology;
    for (client, hosts) in topology.clients.iter().zip(CLIENTS) {
        let mut lines = String::new();
        for host in hosts {
            writeln!(lines, "addr add 172.16.1.{host}/32 dev eth0")?;
        }
        client.netns.ip(&lines)?;
    }
    // What has a new link-layer address says so, as routers do that take another's place.
    topology.fabric[1].sysctl("net/ipv4/conf/gw/arp_notify", "1")?;
    Ok(scene)
}
