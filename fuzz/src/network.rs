//! A small gateway: two interfaces, clients on both, few ports, everything allowed.

use std::collections::{BTreeMap, HashMap};

use snat_common::{
    Addr, Interface, Mapping, Prefix, Protocol, Settings, SnatEntry,
    mappings::{inner_key, outer_key},
    settings::Filtering,
};

use crate::{
    fib::{Fib, Target, contains},
    host::{Contents, Host, Ports},
};

pub(crate) const WAN: u32 = 1;
pub(crate) const LAN: u32 = 2;
pub(crate) const EXTERNAL: Addr = [198, 51, 100, 2];
pub(crate) const POOLED: Addr = [203, 0, 113, 20];
pub(crate) const INTERNAL: Addr = [10, 1, 0, 1];
pub(crate) const CLIENTS: [Addr; 4] = [[10, 1, 0, 2], [10, 1, 0, 3], [10, 2, 0, 2], [10, 3, 0, 2]];
pub(crate) const SERVERS: [Addr; 4] = [
    [192, 0, 2, 1],
    [192, 0, 2, 2],
    [192, 0, 2, 33],
    [8, 8, 8, 8],
];

/// The modes are numbers of a mapping and a filtering; `protocols` as in the settings.
pub(crate) fn host(mapping: u8, filtering: u8, protocols: u8) -> Host {
    let entry = |pool_first, port_set| SnatEntry {
        pool_first,
        pool_len: 1,
        port_set,
        mapping: mapping % 3,
        filtering: filtering % 3,
        zero: [0; 2],
    };
    let interface = |ifindex, addr: Addr, mtu| Interface {
        ifindex,
        addr,
        mac: mac(addr),
        mtu,
    };
    let prefix = |addr, len| Prefix { addr, len };
    let contents = Contents {
        settings: Settings {
            timeouts: [60, 300, 240, 900, 900, 900, 120, 120, 100, 200],
            secret: [1, 2],
            port_rest: 50,
            max_flows: 64,
            ring_mask: snat_common::recycle::ring(64) - 1,
            fragments_per_source: 8,
            answers_per_second: 100,
            protocols,
            ..Settings::unset()
        },
        entries: vec![entry(0, 0), entry(1, 1)],
        pool: vec![[0; 4], POOLED],
        externals: BTreeMap::from([(EXTERNAL, 1), (INTERNAL, 1), (POOLED, 2)]),
        sources: vec![
            (prefix([10, 1, 0, 0], 16), 0),
            (prefix([10, 2, 0, 0], 16), 0),
            (prefix([10, 3, 0, 0], 16), 1),
        ],
        bypass: vec![prefix([10, 0, 0, 0], 8)],
        port_sets: vec![
            Ports::new((1016..1032).collect()),
            Ports::new(vec![2000, 2001, 2002]),
        ],
        interfaces: vec![
            interface(WAN, EXTERNAL, 1500),
            interface(LAN, INTERNAL, 1400),
        ],
        forwards: forward(),
        enis: HashMap::new(),
        by_source: Vec::new(),
    };
    let mut host = Host::new(contents, fib());
    host.flows.capacity = 128;
    host.mappings.capacity = 192;
    host
}

pub(crate) fn is_external(addr: Addr) -> bool {
    [EXTERNAL, POOLED].contains(&addr)
}

pub(crate) fn is_client(addr: Addr) -> bool {
    contains([10, 0, 0, 0], 8, addr) && (1..=3).contains(&addr[1])
}

pub(crate) fn mac([a, b, c, d]: Addr) -> [u8; 6] {
    [2, 0, a, b, c, d]
}

fn forward() -> HashMap<snat_common::MappingKey, Mapping> {
    let (external, client) = ((EXTERNAL, 8443), (CLIENTS[0], 443));
    let mapping = |(addr, port)| Mapping {
        held: 0,
        addr,
        port,
        filtering: Filtering::EndpointIndependent as u8,
        is_static: 1,
    };
    HashMap::from([
        (
            outer_key(external.0, external.1, Protocol::Tcp),
            mapping(client),
        ),
        (
            inner_key(client.0, client.1, Protocol::Tcp),
            mapping(external),
        ),
    ])
}

fn fib() -> Fib {
    let upstream = [198, 51, 100, 1];
    let send = |ifindex, via, mtu| Target::Send {
        ifindex,
        via,
        mtu,
        metric: 0,
    };
    Fib {
        routes: vec![
            ([0; 4], 0, send(WAN, Some(upstream), 1500)),
            ([192, 0, 2, 32], 27, send(WAN, Some(upstream), 600)),
            ([10, 1, 0, 0], 16, send(LAN, None, 1400)),
            ([10, 2, 0, 0], 16, send(WAN, Some(upstream), 1500)),
            ([10, 3, 0, 0], 16, send(LAN, Some(CLIENTS[0]), 1400)),
            (EXTERNAL, 32, Target::Stays),
            (INTERNAL, 32, Target::Stays),
        ],
        by_source: Vec::new(),
        neighbours: vec![
            (WAN, upstream, mac(upstream)),
            (LAN, CLIENTS[0], mac(CLIENTS[0])),
        ],
    }
}
