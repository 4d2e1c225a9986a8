//! What there is in the network, and what the gateway is told of it.

use std::time::Duration;

use crate::ground::{EXTERNAL, GATEWAY, NARROW};

/// Timeout of UDP flows: some expire while the cases run.
pub(crate) const UDP_TIMEOUT: Duration = Duration::from_secs(4);

/// `small` has four ports for all its endpoints, `apart` two towards a server, `cone` eight, and lets anybody in.
pub(crate) const CONFIG: &str = r#"[gateway]
name       = "NAME"
interfaces = ["eth0", "eth1"]
datapath   = "DATAPATH"
max_flows  = 4096

[[snat]]
name      = "private"
source    = ["172.16.1.0/24", "203.0.113.10/32"]
external  = ["auto"]
filtering = "address-dependent"

[[snat]]
name     = "small"
source   = ["172.16.3.0/24"]
external = ["203.0.113.11"]
ports    = "2000-2003"
mapping  = "endpoint-independent"

[[snat]]
name     = "apart"
source   = ["172.16.5.0/24"]
external = ["203.0.113.12"]
ports    = "3000-3001"
mapping  = "address-and-port-dependent"

[[snat]]
name      = "cone"
source    = ["172.16.7.0/24"]
external  = ["203.0.113.13"]
ports     = "4000-4007"
filtering = "endpoint-independent"

[[bypass]]
destination = ["172.20.0.0/16"]

[[forward]]
protocol = "tcp"
external = "203.0.113.10:8443"
internal = "172.16.1.11:443"

[[forward]]
protocol = "udp"
external = "203.0.113.10:700"
internal = "172.16.1.13:5300"

[timeouts]
udp = "4s"
"#;

/// `small` and `apart` have no UDP: what holds their ports must not expire between question and packet.
pub(crate) const CLIENTS: [[u8; 4]; 9] = [
    [172, 16, 1, 11],
    [172, 16, 1, 12],
    NARROW.0,
    NARROW.0,
    [172, 16, 3, 5],
    [172, 16, 3, 6],
    [172, 16, 5, 5],
    [172, 16, 5, 6],
    [172, 16, 7, 5],
];
pub(crate) const SERVERS: [[u8; 4]; 2] = [[198, 51, 100, 20], [198, 51, 100, 21]];
pub(crate) const EXTERNALS: [[u8; 4]; 4] = [
    EXTERNAL,
    [203, 0, 113, 11],
    [203, 0, 113, 12],
    [203, 0, 113, 13],
];
/// Bypass, unmanaged egress, nobody there, unreachable, blackhole, multicast, loopback, link-local, the gateway.
pub(crate) const ODD_TARGETS: [[u8; 4]; 10] = [
    [172, 20, 0, 1],
    [192, 0, 2, 5],
    [198, 18, 0, 9],
    [100, 64, 0, 1],
    [100, 65, 0, 1],
    [224, 0, 0, 5],
    [127, 0, 0, 1],
    [169, 254, 169, 254],
    GATEWAY,
    [172, 16, 1, 12],
];
/// The gateway's own, one that is no client, and two that are nobody's.
pub(crate) const ODD_SOURCES: [[u8; 4]; 4] =
    [EXTERNAL, [10, 9, 9, 9], [127, 0, 0, 1], [240, 0, 0, 1]];
