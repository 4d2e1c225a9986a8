//! One gateway and its surroundings, the same for the engine on the host and for the kernel.
//!
//! ```text
//!  10.1/16 clients --- lan [ gateway ] wan --- 198.51.100.1   the Internet
//!                             |          `---- 198.51.100.9   router of the clients 10.2/16 (one arm)
//!                             +---- second: 198.51.101.1   the Internet again, for who has the source 198.51.101.2
//!                           other: 203.0.113/24, an interface that is not the gateway's
//! ```
//!
//! Every MAC is 02:00 and the four bytes of the address.

use std::{collections::HashMap, net::Ipv4Addr, path::Path};

use anyhow::Result;
use snat_common::{Addr, Eni, Interface, Settings};
use snat_ctl::{
    config::Config,
    datapath::{self, Desired, EniHint, desired},
};

use crate::{
    fib::{Fib, Target},
    host::{Contents, Host, Ports},
};

pub(crate) const WAN: u32 = 11;
pub(crate) const LAN: u32 = 12;
pub(crate) const OTHER: u32 = 13;
pub(crate) const SECOND: u32 = 14;
/// Their names.
pub(crate) const NAMES: [(u32, &str); 4] = [
    (WAN, "wan"),
    (LAN, "lan"),
    (OTHER, "other"),
    (SECOND, "second"),
];
pub(crate) const LAN_MTU: u16 = 1400;
pub(crate) const NARROW_MTU: u16 = 600;

/// The gateway's own addresses on `wan` and `lan`.
pub(crate) const EXTERNAL: Addr = [198, 51, 100, 2];
pub(crate) const INTERNAL: Addr = [10, 1, 0, 1];
/// That on `second`, which may share what goes by the default route.
pub(crate) const SECOND_EXTERNAL: Addr = [198, 51, 101, 2];
/// Where the default route goes.
pub(crate) const UPSTREAM: Addr = [198, 51, 100, 1];
/// Where that of packets goes that have the source [`SECOND_EXTERNAL`].
pub(crate) const SECOND_UPSTREAM: Addr = [198, 51, 101, 1];
/// Behind it are the clients of one arm.
pub(crate) const ROUTER: Addr = [198, 51, 100, 9];
/// Clients of entry `many`: 16 ports, external address of the egress interface.
pub(crate) const MANY: [Addr; 3] = [[10, 1, 0, 2], [10, 1, 0, 3], [10, 1, 0, 4]];
/// A client of entry `one`, on `lan`: one port.
pub(crate) const ROUTED: Addr = [10, 1, 5, 2];
/// A client of entry `one`, behind the router on `wan`.
pub(crate) const ONE_ARM: Addr = [10, 2, 7, 7];
/// A client of entry `pool`: three addresses that are not the gateway's own.
pub(crate) const POOLED: Addr = [10, 1, 9, 4];
/// A client whose link-layer address nobody knows.
pub(crate) const SILENT: Addr = [10, 1, 5, 99];
/// A client that cannot be reached.
pub(crate) const LOST: Addr = [10, 4, 0, 5];
/// The port of entry `one`.
pub(crate) const PORT: u16 = 50_000;
/// The ports of entry `many`.
pub(crate) const PORTS: u16 = 16;

/// An Internet host, and one behind every special kind of route.
pub(crate) const SERVER: Addr = [192, 0, 2, 1];
pub(crate) const NARROW: Addr = [192, 0, 2, 33];
pub(crate) const BLACKHOLE: Addr = [192, 0, 2, 65];
pub(crate) const TUNNEL: Addr = [192, 0, 2, 97];
pub(crate) const NO_NEIGHBOUR: Addr = [192, 0, 2, 129];
pub(crate) const UNMANAGED: Addr = [203, 0, 113, 77];
pub(crate) const BYPASSED: Addr = [10, 200, 0, 1];
/// An Internet host that cannot be reached by `second`.
pub(crate) const NOT_BY_SECOND: Addr = [192, 0, 2, 2];

const DEFAULT_METRIC: u32 = 100;
pub(crate) const SECRET: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

/// Answers and MSS are left out: they have tests of their own.
const CONFIG: &str = r#"
[gateway]
name = "NAME"
interfaces = ["wan", "lan", "second"]
max_flows = 400
mss_clamp = "off"

[limits]
answers_per_second = 0

[[forward]]
protocol = "tcp"
external = "198.51.100.2:8443"
internal = "10.1.5.2:443"

[[snat]]
name = "many"
source = ["10.1.0.0/16", "10.4.0.0/16"]
external = ["auto"]
ports = "40000-40015"

[[snat]]
name = "one"
source = ["10.2.0.0/16", "10.1.5.0/24"]
external = ["198.51.100.2"]
ports = "50000"

[[snat]]
name = "pool"
source = ["10.1.9.0/24"]
external = ["203.0.113.20-203.0.113.22"]
ports = "20000-20999"

[[bypass]]
destination = ["10.0.0.0/8", "192.0.2.224/27"]
"#;

/// The network, for `ip -batch`.
pub(crate) const LINKS: &str = "\
link add wan index 11 address 02:00:c6:33:64:02 type veth peer name wan-peer
link add lan index 12 address 02:00:0a:01:00:01 mtu 1400 type veth peer name lan-peer
link add other index 13 type veth peer name other-peer
link add second index 14 address 02:00:c6:33:65:02 type veth peer name second-peer
link set wan up
link set lan up
link set other up
link set second up
link set wan-peer up
link set lan-peer up
link set other-peer up
link set second-peer up
addr add 198.51.100.2/24 dev wan
addr add 10.1.0.1/16 dev lan
addr add 203.0.113.2/24 dev other
addr add 198.51.101.2/24 dev second
route add default via 198.51.100.1 dev wan metric 100
route add 10.2.0.0/16 via 198.51.100.9 dev wan
route add blackhole 10.4.0.0/16
route add 192.0.2.32/27 via 198.51.100.1 dev wan mtu lock 600
route add unreachable 192.0.2.64/27
route add 192.0.2.96/27 encap ip id 7 dst 198.51.100.1 dev wan
route add 192.0.2.128/27 via 198.51.100.77 dev wan
route add default via 198.51.101.1 dev second table 1001
route add unreachable 192.0.2.2 table 1001
rule add from 198.51.101.2 lookup 1001 priority 1001
";

/// Who is on which interface with a known link-layer address.
pub(crate) fn neighbours() -> Vec<(u32, Addr)> {
    let lan = [MANY[0], MANY[1], MANY[2], ROUTED, POOLED];
    let on_lan = lan.into_iter().map(|addr| (LAN, addr));
    let others = [
        (WAN, UPSTREAM),
        (WAN, ROUTER),
        (OTHER, UNMANAGED),
        (SECOND, SECOND_UPSTREAM),
    ];
    on_lan.chain(others).collect()
}

/// A station's link-layer address.
pub(crate) fn mac([a, b, c, d]: Addr) -> [u8; 6] {
    [2, 0, a, b, c, d]
}

/// The configuration of an instance.
pub(crate) fn config(name: &str) -> Result<Config> {
    Ok(Config::parse(
        &CONFIG.replace("NAME", name),
        Path::new("test.toml"),
    )?)
}

/// What the host brings to it.
pub(crate) fn interfaces() -> datapath::Host {
    let interface = |ifindex, addr, mtu| Interface {
        ifindex,
        addr,
        mac: mac(addr),
        mtu,
    };
    datapath::Host {
        interfaces: vec![
            interface(WAN, EXTERNAL, 1500),
            interface(LAN, INTERNAL, LAN_MTU),
            interface(SECOND, SECOND_EXTERNAL, 1500),
        ],
        auto_ports: Vec::new(),
    }
}

/// What the maps hold.
pub(crate) fn contents(name: &str) -> Result<Desired> {
    Ok(desired(&config(name)?, &interfaces())?)
}

/// `wan` and `second` share the default route, three to one.
pub(crate) fn shared() -> Vec<EniHint> {
    vec![
        EniHint {
            ifindex: WAN,
            weight: 3,
            default_route: Some((UPSTREAM.into(), DEFAULT_METRIC)),
        },
        EniHint {
            ifindex: SECOND,
            weight: 1,
            default_route: None,
        },
    ]
}

/// The same as the engine on the host reads it.
pub(crate) fn read_of(hints: &[EniHint]) -> HashMap<u32, Eni> {
    let eni = |hint: &EniHint| {
        let (gateway, metric) = hint.default_route.unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
        Eni {
            gateway: gateway.octets(),
            metric,
            weight: hint.weight,
            zero: [0; 2],
        }
    };
    hints.iter().map(|hint| (hint.ifindex, eni(hint))).collect()
}

/// What a test changes of the world's configuration.
pub(crate) type Change = fn(&mut Desired);
pub(crate) const AS_IT_IS: Change = |_| {};

/// The engine on the host in this world.
pub(crate) fn host() -> Host {
    host_with(AS_IT_IS)
}

/// The same under a configuration that was changed.
pub(crate) fn host_with(change: Change) -> Host {
    const VALID: &str = "the world's configuration is valid";
    let mut desired = contents("host").expect(VALID);
    change(&mut desired);
    let mut host = Host::new(read_by_host(&desired), fib());
    let max_flows = desired.settings.max_flows as usize;
    host.flows.capacity = max_flows * 2;
    host.mappings.capacity = max_flows * 3;
    host
}

/// What the engine on the host reads instead of maps.
pub(crate) fn read_by_host(desired: &Desired) -> Contents {
    Contents {
        settings: Settings {
            secret: SECRET,
            ..desired.settings
        },
        entries: desired.entries.clone(),
        pool: desired.pool.clone(),
        externals: desired.externals.clone(),
        sources: desired.sources.clone(),
        bypass: desired.bypass.clone(),
        port_sets: desired.port_sets.iter().cloned().map(Ports::new).collect(),
        interfaces: interfaces().interfaces,
        forwards: desired.forwards.clone(),
        enis: HashMap::new(),
        by_source: Vec::new(),
    }
}

/// [`LINKS`] again, as the kernel's tables have it.
fn fib() -> Fib {
    let by = |ifindex, via, mtu, metric| Target::Send {
        ifindex,
        via,
        mtu,
        metric,
    };
    let send = |ifindex, via, mtu| by(ifindex, via, mtu, 0);
    Fib {
        routes: vec![
            ([0; 4], 0, by(WAN, Some(UPSTREAM), 1500, DEFAULT_METRIC)),
            ([198, 51, 100, 0], 24, send(WAN, None, 1500)),
            ([10, 1, 0, 0], 16, send(LAN, None, LAN_MTU)),
            ([203, 0, 113, 0], 24, send(OTHER, None, 1500)),
            ([10, 2, 0, 0], 16, send(WAN, Some(ROUTER), 1500)),
            ([10, 4, 0, 0], 16, Target::Stays),
            (NARROW, 27, send(WAN, Some(UPSTREAM), NARROW_MTU)),
            (BLACKHOLE, 27, Target::Stays),
            (TUNNEL, 27, Target::Encapsulated),
            (NO_NEIGHBOUR, 27, send(WAN, Some([198, 51, 100, 77]), 1500)),
            ([127, 0, 0, 0], 8, Target::Stays),
            (EXTERNAL, 32, Target::Stays),
            (INTERNAL, 32, Target::Stays),
            ([203, 0, 113, 2], 32, Target::Stays),
            ([198, 51, 100, 255], 32, Target::Stays),
            ([10, 1, 255, 255], 32, Target::Stays),
            ([203, 0, 113, 255], 32, Target::Stays),
            ([198, 51, 101, 0], 24, send(SECOND, None, 1500)),
            (SECOND_EXTERNAL, 32, Target::Stays),
            ([198, 51, 101, 255], 32, Target::Stays),
        ],
        by_source: vec![(
            SECOND_EXTERNAL,
            vec![
                ([0; 4], 0, send(SECOND, Some(SECOND_UPSTREAM), 1500)),
                (NOT_BY_SECOND, 32, Target::Stays),
                // Local addresses come before any rule.
                (EXTERNAL, 32, Target::Stays),
                (INTERNAL, 32, Target::Stays),
                (SECOND_EXTERNAL, 32, Target::Stays),
                ([203, 0, 113, 2], 32, Target::Stays),
                ([127, 0, 0, 0], 8, Target::Stays),
            ],
        )],
        neighbours: neighbours()
            .into_iter()
            .map(|(ifindex, addr)| (ifindex, addr, mac(addr)))
            .collect(),
    }
}
