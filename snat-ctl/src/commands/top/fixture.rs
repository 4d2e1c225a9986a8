//! A gateway as tests see it: two clients, two servers, a pool that fills, a reason of drops.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use clap::Parser as _;

use super::{
    look::{Dropped, Seen},
    orders,
    state::State,
};
use crate::{
    cli::{Cli, Command},
    datapath::{Flow, Found, Growing, Outlook, Pool, Room, Talker},
    health::Rates,
};

pub(super) const BUSY: Ipv4Addr = Ipv4Addr::new(172, 16, 1, 11);
pub(super) const IDLE: Ipv4Addr = Ipv4Addr::new(172, 16, 1, 12);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);

/// Before the first look.
pub(super) fn started(args: &[&str]) -> State {
    let cli = Cli::try_parse_from([&["snat-ctl", "top"], args].concat()).expect("arguments");
    let Command::Top(args) = &cli.command else {
        panic!("{cli:?}")
    };
    let orders = orders(args).expect("an order");
    State::new("blue", args, orders, Instant::now())
}

/// After a look that took a moment.
pub(super) fn looking(args: &[&str]) -> State {
    let mut state = started(args);
    state.take(Ok(seen()), Instant::now());
    state
}

pub(super) fn seen() -> Seen {
    Seen {
        time: "2026-11-21T11:09:45Z".to_owned(),
        daemon: Some(1234),
        flows: Room { used: 3, max: 1024 },
        clients: Room {
            used: 2,
            max: 65536,
        },
        rates: Some(rates()),
        drops: vec![
            dropped("unsolicited", 70_000, 0.0),
            dropped("ports_exhausted", 120, 12.5),
        ],
        traffic: Some(traffic()),
        ports: Some(ports()),
        took: Duration::from_millis(1),
    }
}

pub(super) fn flow(client: Ipv4Addr, port: u16, bits: f64) -> Flow {
    Flow {
        client,
        client_port: port,
        bytes_out: 4_000_000 - u64::from(port),
        ..Flow::sample(SERVER, bits)
    }
}

fn rates() -> Rates {
    Rates {
        seconds: 2.0,
        packets_out: 1_200_000.0,
        bits_out: 3.4e9,
        packets_in: 950.0,
        bits_in: 340_000.0,
        new_flows: 12.4,
        shared_ports: 0.0,
        verdicts: BTreeMap::from([("ports_exhausted", 12.5)]),
    }
}

fn dropped(reason: &'static str, packets: u64, rate: f64) -> Dropped {
    let all = snat_common::Verdict::ALL.iter();
    let mut named = all.filter(|verdict| verdict.name() == reason);
    Dropped {
        reason,
        packets,
        packets_per_second: Some(rate),
        meaning: named.next().expect("a verdict").describe().trim(),
    }
}

fn traffic() -> Found {
    Found {
        seconds: Some(2.0),
        matched: 3,
        clients_matched: 2,
        servers_matched: 1,
        bits_per_second: 3.5e9,
        clients: vec![talker(IDLE, 9, 0.0), talker(BUSY, 2, 3.4e9)],
        servers: vec![talker(SERVER, 3, 3.4e9)],
        flows: vec![
            flow(IDLE, 40_000, 0.0),
            flow(BUSY, 40_001, 1e6),
            flow(BUSY, 40_002, 3.4e9),
        ],
    }
}

fn talker(address: Ipv4Addr, flows: u64, bits: f64) -> Talker {
    Talker {
        address,
        flows,
        bytes: 12_300_000,
        bits_out: Some(bits),
        bits_in: Some(bits / 10.0),
        packets: Some(bits / 12_000.0),
    }
}

fn ports() -> Outlook {
    let pool = |protocol, free: u64, growth: f64| Growing {
        what: Pool {
            external: Ipv4Addr::new(203, 0, 113, 10),
            protocol,
            capacity: 1000,
            used: 1000 - free,
            resting: 0,
            free,
        },
        growth_per_second: growth,
        exhausted_in_seconds: (growth > 0.0).then(|| free as f64 / growth),
    };
    Outlook {
        pools: vec![pool("tcp", 1000, 0.0), pool("udp", 100, 0.5)],
        destinations: Vec::new(),
    }
}
