//! What becomes of each kind of connection.

use std::{collections::BTreeSet, path::Path};

use snat_common::{Interface, State, adopt::origin};

use super::{Fate, Judge, Reason};
use crate::{
    config::Config,
    datapath::{Host, desired},
    netlink::conntrack::{Connection, Tcp, TcpState, Tuple, protocol},
};

const CONFIG: &str = "\
[gateway]
interfaces = ['eth0', 'eth1']
[[snat]]
source = ['172.16.0.0/16']
ports = '10000-19999'
[[snat]]
source = ['172.16.9.0/24']
mapping = 'address-and-port-dependent'
[[bypass]]
destination = ['172.16.0.0/12']
[[forward]]
protocol = 'tcp'
external = '203.0.113.10:8443'
internal = '172.16.1.5:443'
";

const CLIENT: &str = "172.16.1.11:40000";
const SERVER: &str = "198.51.100.20:80";
const EXTERNAL: &str = "203.0.113.10:10007";

fn judge() -> Judge {
    let interface = |ifindex, addr: [u8; 4]| Interface {
        ifindex,
        addr,
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
    };
    let host = Host {
        interfaces: vec![
            interface(2, [203, 0, 113, 10]),
            interface(3, [172, 16, 1, 1]),
        ],
        auto_ports: (1024..2000).collect(),
    };
    let config = Config::parse(CONFIG, Path::new("t.toml")).expect("a valid configuration");
    let desired = desired(&config, &host).expect("fits the maps");
    let local = host.interfaces.iter().map(|own| own.addr.into());
    let local: BTreeSet<_> = local.collect();
    Judge::new(desired, host, local)
}

/// Of UDP, by who sends to whom, and who answers to whom.
fn connection([src, dst, back_src, back_dst]: [&str; 4]) -> Connection {
    let tuple = |src: &str, dst: &str| Tuple {
        src: src.parse().expect("an endpoint"),
        dst: dst.parse().expect("an endpoint"),
    };
    Connection {
        protocol: protocol::UDP,
        original: tuple(src, dst),
        reply: tuple(back_src, back_dst),
        timeout: 100,
        answered: true,
        dying: false,
        tcp: None,
    }
}

fn tcp(ends: [&str; 4], state: TcpState, closed_by_opener: bool) -> Connection {
    Connection {
        protocol: protocol::TCP,
        tcp: Some(Tcp {
            state,
            closed_by_opener,
        }),
        ..connection(ends)
    }
}

fn taken(connection: &Connection) -> snat_common::adopt::Adoption {
    match judge().fate(connection) {
        Fate::TakenOver(adoption) => adoption,
        fate => panic!("{connection:?}: {fate:?}"),
    }
}

#[test]
fn what_is_not_translated_alike_is_cut_or_stays() {
    let cut = |reason| Fate::Cut(reason);
    let bypassed = "172.20.0.1:53";
    for (ends, fate) in [
        (
            [CLIENT, SERVER, SERVER, "203.0.113.11:10007"],
            cut(Reason::External),
        ),
        ([CLIENT, bypassed, bypassed, EXTERNAL], cut(Reason::Bypass)),
        ([CLIENT, bypassed, bypassed, CLIENT], Fate::Stays),
        ([CLIENT, SERVER, SERVER, CLIENT], cut(Reason::NotTranslated)),
        (
            [CLIENT, SERVER, "192.0.2.1:80", CLIENT],
            cut(Reason::Redirected),
        ),
        (
            [CLIENT, EXTERNAL, "172.16.1.12:9", EXTERNAL],
            cut(Reason::Both),
        ),
        (
            [CLIENT, "224.0.0.251:5353", "224.0.0.251:5353", CLIENT],
            Fate::Stays,
        ),
        // To the gateway itself, and from it.
        (
            [CLIENT, "172.16.1.1:53", "172.16.1.1:53", CLIENT],
            Fate::Stays,
        ),
        (
            ["203.0.113.10:50000", SERVER, SERVER, EXTERNAL],
            Fate::Stays,
        ),
        // Of another network behind the same address: by a port that is ours to answer for, and by one that is not.
        (
            ["10.8.0.2:5", SERVER, SERVER, EXTERNAL],
            cut(Reason::Source),
        ),
        (
            ["10.8.0.2:5", SERVER, SERVER, "203.0.113.10:50000"],
            Fate::Stays,
        ),
        (
            [SERVER, "203.0.113.10:8443", "172.16.1.6:443", SERVER],
            cut(Reason::NoForward),
        ),
        (
            [SERVER, "203.0.113.10:8080", "10.8.0.2:80", SERVER],
            Fate::Stays,
        ),
    ] {
        assert_eq!(judge().fate(&connection(ends)), fate, "{ends:?}");
    }
    let sctp = Connection {
        protocol: 132,
        ..connection([CLIENT, SERVER, SERVER, EXTERNAL])
    };
    assert_eq!(judge().fate(&sctp), cut(Reason::Protocol));
    let over = Connection { timeout: 0, ..sctp };
    assert_eq!(judge().fate(&over), Fate::Ended);
}

#[test]
fn a_port_is_its_clients_own_only_if_it_is_handed_out_to_endpoints() {
    let own = |ends| taken(&connection(ends)).origin & origin::OWN_PORT != 0;
    assert!(own([CLIENT, SERVER, SERVER, EXTERNAL]));
    assert!(!own([CLIENT, SERVER, SERVER, "203.0.113.10:40000"]));
    // The longer prefix's entry has other ports, and shares them.
    assert!(!own(["172.16.9.1:5", SERVER, SERVER, "203.0.113.10:1500"]));
}

#[test]
fn a_forwarded_connection_is_opened_from_outside() {
    let adoption = taken(&tcp(
        [SERVER, "203.0.113.10:8443", "172.16.1.5:443", SERVER],
        TcpState::FinWait,
        true,
    ));
    assert_eq!(adoption.origin, origin::OUTSIDE);
    assert_eq!(
        (adoption.client, adoption.client_port),
        ([172, 16, 1, 5], 443)
    );
    assert_eq!(adoption.in_key.dst_port, 8443);
    assert_eq!(adoption.state, State::TcpFinIn, "the server closed it");
}

#[test]
fn states_and_what_is_left_are_kept_as_far_as_our_timeouts_go() {
    let ends = [CLIENT, SERVER, SERVER, EXTERNAL];
    for (kernels, closed_by_opener, ours) in [
        (TcpState::SynSent, false, State::TcpSynSent),
        (TcpState::SynReceived, false, State::TcpEstablished),
        (TcpState::Established, false, State::TcpEstablished),
        (TcpState::FinWait, true, State::TcpFinOut),
        (TcpState::CloseWait, false, State::TcpFinIn),
        (TcpState::LastAck, true, State::TcpClosing),
        (TcpState::TimeWait, true, State::TcpClosing),
        (TcpState::Close, false, State::TcpReset),
    ] {
        let found = taken(&tcp(ends, kernels, closed_by_opener)).state;
        assert_eq!(found, ours, "{kernels:?}");
    }
    // Of 5 minutes, 100 s are left; what the kernel gives longer counts as new.
    let idle = |timeout| {
        let connection = Connection {
            timeout,
            ..connection(ends)
        };
        f64::from(taken(&connection).idle) * f64::from(1 << 24) / 1e9
    };
    assert!((idle(100) - 200.0).abs() < 1.0, "{}", idle(100));
    assert!(idle(1000) < 0.1);
}
