use std::{net::Ipv4Addr, time::Duration};

use super::{
    super::{
        Sort,
        raw::{RawEntry, RawKey},
    },
    Filter, Flow, Found, Order, Since, Sums, TalkerSort, Traffic, Wanted,
};

const CLIENTS: [Ipv4Addr; 2] = [Ipv4Addr::new(172, 16, 1, 11), Ipv4Addr::new(172, 16, 1, 12)];

#[test]
fn only_what_is_new_of_a_flow_counts() {
    let mut traffic = Traffic::default();
    let first = traffic.since(&flow(0, 1000), false);
    assert_eq!(
        first,
        Since::default(),
        "of the first walk nothing is known"
    );
    let more = traffic.since(&flow(0, 1500), true);
    assert_eq!((more.out, more.into), (500, 0));
    let anew = traffic.since(&flow(0, 40), true);
    assert_eq!(anew.out, 40, "fewer than before: it began anew");
    let other = traffic.since(&flow(1, 70), true);
    assert_eq!(other.out, 70, "it was not there before");
}

#[test]
fn flows_are_added_up_by_client_and_by_server_over_the_time_between() {
    let found = found(&wanted(), &[(0, 100), (0, 400), (1, 300)]);
    assert_eq!(found.matched, 3);
    let [first, second] = &found.clients[..] else {
        panic!("{:?}", found.clients)
    };
    assert_eq!((first.address, first.flows), (CLIENTS[0], 2));
    assert_eq!(first.bits_out, Some(500.0 * 8.0 / 2.0));
    assert_eq!((second.address, second.flows), (CLIENTS[1], 1));
    let [server] = &found.servers[..] else {
        panic!("{:?}", found.servers)
    };
    assert_eq!((server.flows, server.bits()), (3, 3200.0));
    assert_eq!(found.flows[0].bits_per_second, Some(1600.0));
    assert_eq!(found.bits_per_second, 3200.0);
}

#[test]
fn lists_have_the_first_of_their_order_and_say_how_many_there_are() {
    let wanted = Wanted {
        limit: 1,
        clients: (TalkerSort::Address, true),
        ..wanted()
    };
    let found = found(&wanted, &[(0, 100), (0, 400), (1, 300)]);
    assert_eq!(found.clients.len(), 1);
    assert_eq!(found.clients[0].address, CLIENTS[1]);
    assert_eq!((found.clients_matched, found.flows.len()), (2, 1));
}

#[test]
fn a_filter_by_rate_is_held_against_the_rate_that_was_measured() {
    let wanted = Wanted {
        filter: "min-rate=1200bit".parse().expect("a filter"),
        ..wanted()
    };
    let found = found(&wanted, &[(0, 100), (0, 400), (1, 300)]);
    assert_eq!(found.matched, 2);
}

/// Of flows that had so many bytes from these clients within two seconds.
fn found(wanted: &Wanted, had: &[(usize, u64)]) -> Found {
    let mut sums = Sums::new(wanted, Some(Duration::from_secs(2)));
    for (client, bytes) in had {
        let since = Since {
            out: *bytes,
            ..Since::default()
        };
        sums.add(&flow(*client, *bytes), since);
    }
    sums.found(wanted)
}

fn wanted() -> Wanted {
    Wanted {
        filter: Filter::default(),
        limit: 10,
        flows: Order {
            sort: Sort::Rate,
            reverse: false,
        },
        clients: (TalkerSort::Rate, false),
        servers: (TalkerSort::Rate, false),
    }
}

fn flow(client: usize, bytes: u64) -> Flow {
    let mut key = [0; RawKey::LEN];
    key[0] = client as u8;
    let key = RawKey::of(&key).expect("a key");
    let entry = RawEntry::of(&[0; RawEntry::LEN]).expect("an entry");
    Flow {
        client: CLIENTS[client],
        bytes_out: bytes,
        ..Flow::outward(key, &entry, None, 0)
    }
}
