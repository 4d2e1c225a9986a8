use std::path::Path;

use snat_common::{FlowEntry, Interface, hold::FROM_OUTSIDE};

use super::{super::desired, Allowed, Config, Host, RawEntry, RawKey};

const FILE: &str = "[gateway]\ninterfaces = ['eth0']\n\
    [[snat]]\nsource = ['10.0.0.0/8']\nexternal = ['192.0.2.1', '192.0.2.2']\nports = '2000-2999'\n\
    filtering = 'endpoint-independent'\n\
    [[snat]]\nsource = ['10.9.0.0/16']\nexternal = ['auto']\n\
    [[bypass]]\ndestination = ['172.16.0.0/12']\n\
    [[forward]]\nprotocol = 'tcp'\nexternal = '192.0.2.1:2443'\ninternal = '10.1.0.5:443'\n";

const TCP: u8 = 6;
const GRE: u8 = 47;

fn allowed() -> Allowed {
    let config = Config::parse(FILE, Path::new("t.toml")).unwrap();
    let own = Interface {
        ifindex: 1,
        addr: [192, 0, 2, 9],
        mac: [0; 6],
        mtu: 1500,
    };
    let host = Host {
        interfaces: vec![own],
        auto_ports: vec![1024, 1025],
    };
    let desired = desired(&config, &host).unwrap();
    Allowed::by(&config, &host, &desired)
}

struct Flow {
    protocol: u8,
    client: ([u8; 4], u16),
    external: ([u8; 4], u16),
    server: [u8; 4],
    holds: u8,
}

const FLOW: Flow = Flow {
    protocol: TCP,
    client: ([10, 1, 0, 5], 40_000),
    external: ([192, 0, 2, 2], 2000),
    server: [198, 51, 100, 1],
    holds: 0,
};

fn lives(flow: &Flow, is_mapped: bool) -> bool {
    let mut key = [0; RawKey::LEN];
    key[0..4].copy_from_slice(&flow.client.0);
    key[4..8].copy_from_slice(&flow.server);
    key[8..10].copy_from_slice(&flow.client.1.to_ne_bytes());
    key[12] = flow.protocol;
    let mut out = [0; RawEntry::LEN];
    out[..4].copy_from_slice(&flow.external.0);
    out[4..6].copy_from_slice(&flow.external.1.to_ne_bytes());
    out[std::mem::offset_of!(FlowEntry, holds)] = flow.holds;
    let (key, out) = (RawKey::of(&key).unwrap(), RawEntry::of(&out).unwrap());
    allowed().flow(&key, &out, || is_mapped)
}

#[test]
fn what_the_configuration_would_open_may_live() {
    assert!(lives(&FLOW, false));
    // Of the longer prefix, by the interface's address, at a port that the host uses itself by now.
    let own = Flow {
        client: ([10, 9, 0, 1], 1),
        external: ([192, 0, 2, 9], 40_000),
        ..FLOW
    };
    assert!(lives(&own, false));
    let without_ports = Flow {
        protocol: GRE,
        external: ([192, 0, 2, 1], 0),
        ..FLOW
    };
    assert!(lives(&without_ports, false));
}

#[test]
fn what_it_would_not_open_may_not() {
    let client = Flow {
        client: ([11, 0, 0, 1], 1),
        ..FLOW
    };
    let address = Flow {
        external: ([192, 0, 2, 3], 2000),
        ..FLOW
    };
    let port = Flow {
        external: ([192, 0, 2, 2], 3000),
        ..FLOW
    };
    let forwarded = Flow {
        external: ([192, 0, 2, 2], 2443),
        ..FLOW
    };
    let bypassed = Flow {
        server: [172, 16, 0, 1],
        ..FLOW
    };
    let of_another_entry = Flow {
        client: ([10, 9, 0, 1], 1),
        ..FLOW
    };
    let protocol = Flow {
        protocol: 255,
        ..FLOW
    };
    let all = [
        client,
        address,
        port,
        forwarded,
        bypassed,
        of_another_entry,
        protocol,
    ];
    for (number, flow) in all.iter().enumerate() {
        assert!(!lives(flow, true), "number {number}");
    }
}

#[test]
fn what_came_from_outside_needs_what_let_it_in() {
    let forward = Flow {
        client: ([10, 1, 0, 5], 443),
        external: ([192, 0, 2, 1], 2443),
        holds: FROM_OUTSIDE,
        ..FLOW
    };
    assert!(lives(&forward, false));
    // By a forward that is gone: the port is the entry's now, and leads nowhere.
    let gone = Flow {
        external: ([192, 0, 2, 1], 2444),
        ..forward
    };
    assert!(!lives(&gone, false));
    let by_mapping = Flow {
        server: [172, 16, 0, 1],
        holds: FROM_OUTSIDE,
        ..FLOW
    };
    assert!(lives(&by_mapping, true));
}

#[test]
fn a_mapping_has_the_filtering_of_its_entry() {
    let allowed = allowed();
    let external = |port| ([192, 0, 2, 1].into(), port);
    let client = [10, 1, 0, 5].into();
    assert_eq!(allowed.endpoint(TCP, client, external(2000)), Some(2));
    assert_eq!(allowed.endpoint(TCP, client, external(3000)), None);
}
