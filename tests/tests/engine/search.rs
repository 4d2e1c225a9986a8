//! Sets of which nearly every port is taken: what is free is found wherever the search begins, and goes to whom it suits.

use snat_common::{
    Event, Protocol, Verdict,
    settings::{Mapping, PORT_WORDS},
};

use crate::{
    frames::{Endpoint, Frame},
    host::{Host, Ports},
    scene::{in_key, key},
    world::{self, MANY, SERVER},
};

const WEB: Endpoint = (SERVER, 80);
/// Which of the words that a search passes has the port: its first, both sides of where a turn ends, its last.
const NTH: [u32; 4] = [1, 32, 33, PORT_WORDS];

#[test]
fn the_last_free_port_is_found_wherever_the_search_begins() {
    for (protocol, has_bitmap) in [
        (Protocol::Udp, true),
        (Protocol::Udp, false),
        (Protocol::Tcp, true),
        (Protocol::Tcp, false),
    ] {
        let mut host = full(protocol);
        if !has_bitmap {
            host.busy.clear();
            host.busy.capacity = 0;
        }
        let mut clients = clients();
        for (nth, case) in NTH
            .into_iter()
            .flat_map(|nth| (0..16).map(move |case| (nth, case)))
        {
            let [low_client, low_port, odd_client, odd_port] =
                [1, 2, 4, 8].map(|bit| case & bit != 0);
            let word = |client| {
                let hash = host.search_hash(key(protocol, client, WEB), 0);
                ((hash.expect("an external address") >> 32) as u32 + nth) % PORT_WORDS
            };
            let fits = |client: &Endpoint| {
                (client.1 < 1024) == low_client
                    && (client.1 % 2 == 1) == odd_client
                    && (word(*client) < 1024 / 64) == low_port
            };
            let at = clients.iter().position(fits).expect("enough clients");
            let client = clients.remove(at);
            let port = even_port(word(client) as u16) + u16::from(odd_port);
            assert!(host.bury(&in_key(protocol, WEB, port), true));
            let seen = host.client(&question(protocol, client));
            assert_eq!(
                seen.verdict,
                Verdict::TranslatedOut,
                "{nth}, {client:?}, {port}"
            );
            assert_eq!(seen.port(), port);
        }
    }
}

#[test]
fn of_four_free_ports_each_client_gets_the_one_of_its_class_and_parity() {
    let mut host = full(Protocol::Udp);
    for nth in 0..8 {
        let (low, high) = (even_port(1 + nth), even_port(100 + 100 * nth));
        let free = [low + 1, high, low, high + 1];
        for port in free {
            assert!(host.bury(&in_key(Protocol::Udp, WEB, port), true));
        }
        let clients = [101, 4000, 100, 4001].map(|port| (MANY[1], port + 2 * nth));
        let given = clients.map(|client| host.client(&question(Protocol::Udp, client)).port());
        assert_eq!(given, free);
    }
}

#[test]
fn a_set_of_low_ports_only_serves_every_client() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut host = with_ports(vec![600, 601]);
        let port = |host: &mut Host, client_port| {
            let seen = host.client(&question(protocol, (MANY[0], client_port)));
            (seen.verdict == Verdict::TranslatedOut).then(|| seen.port())
        };
        let first = port(&mut host, 2000).expect("a port for the first");
        assert_eq!(host.happened(Event::SearchScanned), 0, "found by a guess");
        let second = port(&mut host, 2002).expect("a port for the second");
        assert_eq!(first + second, 600 + 601);
        assert_eq!(port(&mut host, 2004), None);
        for (freed, next) in [(600, 2006), (601, 2008), (600, 11), (601, 12)] {
            assert!(host.bury(&in_key(protocol, WEB, freed), true));
            assert_eq!(port(&mut host, next), Some(freed));
        }
    }
}

/// All ports of the set, two of each word, are taken towards [`WEB`].
fn full(protocol: Protocol) -> Host {
    let words = 0..PORT_WORDS as u16;
    let ports: Vec<_> = words
        .map(even_port)
        .flat_map(|port| [port, port + 1])
        .collect();
    let count = ports.len() as u16;
    let mut host = with_ports(ports);
    for nth in 0..count {
        let seen = host.client(&question(protocol, (MANY[0], 2000 + nth)));
        assert_eq!(seen.verdict, Verdict::TranslatedOut);
    }
    host
}

/// The first of the two ports of a word that are in the set: anywhere in it, but not port 0.
fn even_port(word: u16) -> u16 {
    word * 64 + (word + 3) % 32 * 2
}

/// A port is a flow's own, so that it is free as soon as its flow is gone.
fn with_ports(ports: Vec<u16>) -> Host {
    let mut host = world::host_with(|desired| desired.settings.max_flows = 1 << 16);
    host.contents.entries[0].mapping = Mapping::AddressAndPortDependent as u8;
    host.contents.port_sets[0] = Ports::new(ports);
    host
}

/// Who has no flow yet.
fn clients() -> Vec<Endpoint> {
    let ports = |addr| (1..2048).map(move |port| (addr, port));
    MANY[1..].iter().copied().flat_map(ports).collect()
}

fn question(protocol: Protocol, client: Endpoint) -> Frame {
    match protocol {
        Protocol::Tcp => Frame::tcp(client, WEB, "S"),
        _ => Frame::udp(client, WEB),
    }
}
