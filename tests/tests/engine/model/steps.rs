//! What happens in a step, to both; and what comes out must be what the model says, to the byte.

use std::collections::VecDeque;

use fastrand::Rng;
use snat_common::{
    Action, Addr, Counter, Protocol, Verdict,
    log::Detail,
    mappings,
    settings::{Filtering, Mapping},
};

use super::{
    ledger::Ledger,
    nat::{Nat, Packet, Seen},
    rules::{MANY_PORTS, POOL_PORTS, Rules},
    tables,
    tcp::Segment,
};
use crate::{
    frames::{Endpoint, Frame, ingress},
    host::{Hook, Host, Ports},
    world::{self, EXTERNAL, MANY, ONE_ARM, POOLED, PORT, ROUTED, WAN},
};

const CLIENTS: [Addr; 7] = [
    MANY[0],
    MANY[1],
    MANY[2],
    ROUTED,
    ONE_ARM,
    POOLED,
    [10, 1, 9, 5],
];
const SERVERS: [Endpoint; 4] = [
    ([192, 0, 2, 1], 80),
    ([192, 0, 2, 1], 81),
    ([192, 0, 2, 2], 80),
    ([8, 8, 8, 8], 53),
];
/// What `[[forward]]` of the world says.
const FORWARDED: (Endpoint, Endpoint) = ((EXTERNAL, 8443), (ROUTED, 443));

/// Engine and model with the same past.
pub(super) struct Run {
    host: Host,
    nat: Nat,
    ledger: Ledger,
    random: Rng,
    log: VecDeque<String>,
    number: u64,
}

impl Run {
    pub(super) fn new(mode: Mapping, filtering: Filtering, mut random: Rng) -> Self {
        let mut host = world::host();
        let contents = &mut host.contents;
        for entry in &mut contents.entries {
            entry.mapping = mode as u8;
            entry.filtering = filtering as u8;
        }
        contents.port_sets[0] = Ports::new(MANY_PORTS.collect());
        contents.port_sets[2] = Ports::new(POOL_PORTS.collect());
        contents.settings.max_flows = 1 << 20;
        let detail = [Detail::Mappings, Detail::Destinations][random.usize(0..2)];
        contents.settings.log = detail as u8;
        host.flows.capacity = usize::MAX;
        host.mappings.capacity = usize::MAX;
        // One more neighbour than the world has.
        let neighbour = (world::LAN, CLIENTS[6], world::mac(CLIENTS[6]));
        host.fib.neighbours.push(neighbour);
        let mut nat = Nat::default();
        nat.rules = Rules {
            mode,
            filtering,
            ..Rules::default()
        };
        nat.forward(Protocol::Tcp, FORWARDED.0, FORWARDED.1);
        let mut run = Self {
            host,
            nat,
            ledger: Ledger::default(),
            random,
            log: VecDeque::new(),
            number: 0,
        };
        // Close to where the clock turns over, now and then.
        run.host.clock = [1_000_000, u32::MAX - 5_000][run.random.usize(0..2)];
        run.nat.clock = run.host.clock;
        run.set_rules();
        run
    }

    pub(super) fn step(&mut self) {
        self.number += 1;
        match self.random.u8(0..100) {
            0..45 => self.client_speaks(),
            45..72 => self.server_answers(),
            72..79 => self.stranger_speaks(),
            79..85 => self.neighbour_speaks(),
            85..97 => self.time_passes(),
            97..99 => self.sweep(),
            _ => self.settings_change(),
        }
        tables::count(&mut self.host, &self.nat);
        self.ledger.read(&mut self.host);
        if self.number.is_multiple_of(256) {
            tables::compare(&mut self.host, &self.nat);
            self.ledger.compare(&self.host);
        }
    }

    /// All timeouts pass: nothing may be left (P-6).
    pub(super) fn drain(&mut self) {
        for _ in 0..3 {
            self.later(2_000);
            self.sweep();
        }
        tables::compare(&mut self.host, &self.nat);
        tables::is_empty(&mut self.host);
        self.ledger.read(&mut self.host);
        self.ledger.compare(&self.host);
    }

    /// What happened last.
    pub(super) fn last(&self) -> impl Iterator<Item = &String> {
        self.log.iter()
    }

    pub(super) fn counters(&self) -> &[Counter] {
        &self.host.counters
    }

    fn client_speaks(&mut self) {
        let client = self.client();
        let server = self.pick(&SERVERS);
        let packet = self.packet(client, server);
        self.client_sends(&packet);
    }

    /// In the words of a flow that there is, from its server.
    fn server_answers(&mut self) {
        let ways: Vec<_> = self.nat.flows.keys().copied().collect();
        if ways.is_empty() {
            return self.client_speaks();
        }
        // The map's own order is another in each run.
        let wanted = self.random.usize(0..ways.len());
        let mut sorted = ways;
        sorted.sort_unstable();
        let (protocol, server, external) = sorted[wanted];
        if self.nat.rules.is_external(server.0) {
            return;
        }
        let packet = Packet {
            protocol,
            src: server,
            dst: external,
            segment: self.pick(&Segment::ALL),
            reply: protocol == Protocol::Icmp,
        };
        self.internet_sends(&packet);
    }

    fn stranger_speaks(&mut self) {
        let src = (self.pick(&SERVERS).0, self.pick(&[79, 80, 81, 53]));
        let dst = self.external();
        let packet = self.packet(src, dst);
        if packet.protocol == Protocol::Udp || packet.protocol == Protocol::Tcp {
            self.internet_sends(&packet);
        }
    }

    fn neighbour_speaks(&mut self) {
        let client = self.client();
        let external = self.external();
        let packet = self.packet(client, external);
        self.client_sends(&packet);
    }

    fn time_passes(&mut self) {
        let ticks = match self.random.u8(0..20) {
            0 => self.random.u32(0..1_000),
            1..4 => self.random.u32(0..200),
            _ => self.random.u32(0..8),
        };
        self.later(ticks);
    }

    fn later(&mut self, ticks: u32) {
        self.note(|| format!("{ticks} ticks pass"));
        self.host.later(ticks);
        self.nat.clock = self.host.clock;
    }

    fn sweep(&mut self) {
        self.note(|| "sweep".to_owned());
        self.host.sweep();
        self.nat.sweep();
    }

    fn settings_change(&mut self) {
        let rules = &mut self.nat.rules;
        rules.limit = [0, 0, 0, 5, 30][self.random.usize(0..5)];
        rules.rate = [0, 0, 0, 3, 20][self.random.usize(0..5)];
        rules.rest = [0, 20, 150, 600][self.random.usize(0..4)];
        for timeout in &mut rules.timeouts {
            *timeout = self.random.u32(20..900);
        }
        self.set_rules();
    }

    fn set_rules(&mut self) {
        let rules = self.nat.rules;
        self.note(|| format!("{rules:?}"));
        let settings = &mut self.host.contents.settings;
        settings.timeouts = rules.timeouts;
        settings.port_rest = rules.rest;
        settings.flows_per_source = rules.limit;
        settings.new_flows_per_source = rules.rate;
        // A second later nobody's rate remembers what was before.
        self.later(61);
        self.nat.forget_rates();
    }

    fn client_sends(&mut self, packet: &Packet) {
        let Packet { protocol, src, .. } = *packet;
        let frame = frame(packet).by_client();
        let sent = frame.bytes();
        let hook = self.hook();
        let (outcome, bytes) = self.host.run(hook, ingress(src.0), &sent);
        let seen = Seen {
            verdict: outcome.verdict,
            source: (bytes[26..34] != sent[26..34] || outcome.verdict.action() == Action::Forward)
                .then(|| source(protocol, &bytes)),
            mapping: self.mapping(protocol, src),
        };
        self.note(|| format!("{packet:?} {seen:?}"));
        // What was translated got through the first round, whatever it was refused in the second.
        let first = Seen {
            verdict: seen.source.map_or(seen.verdict, |_| Verdict::Hairpin),
            ..seen
        };
        let external = match self.nat.outbound(packet, &first) {
            Ok(external) => external,
            Err(verdict) => return same(verdict, &sent, outcome.verdict, &bytes),
        };
        self.ledger.read(&mut self.host);
        let named = self.ledger.names(protocol, external, src);
        // A forward is in the configuration, not in the log.
        let forwarded = (external, src) == FORWARDED;
        assert!(
            named || forwarded,
            "the log does not say who {external:?} was"
        );
        let out = frame.translated_out(external);
        if !self.nat.rules.is_external(packet.dst.0) {
            return same(
                Verdict::TranslatedOut,
                &out.bytes(),
                outcome.verdict,
                &bytes,
            );
        }
        let arrived = Packet {
            src: external,
            ..*packet
        };
        match self.nat.inbound(&arrived, &seen) {
            // What is dropped half-way has the source that may be seen, and no more.
            Err(verdict) => {
                assert_eq!(verdict, outcome.verdict);
                assert_eq!(source(protocol, &bytes), external);
            }
            Ok(owner) => {
                let back = out.with(|f| f.ip.time_to_live += 1).translated_in(owner);
                same(
                    Verdict::TranslatedIn,
                    &back.bytes(),
                    outcome.verdict,
                    &bytes,
                );
            }
        }
    }

    fn internet_sends(&mut self, packet: &Packet) {
        let frame = frame(packet).by_internet();
        let sent = frame.bytes();
        let hook = self.hook();
        let (outcome, bytes) = self.host.run(hook, WAN, &sent);
        let seen = Seen {
            verdict: outcome.verdict,
            source: None,
            mapping: None,
        };
        self.note(|| format!("{packet:?} {seen:?}"));
        match self.nat.inbound(packet, &seen) {
            Ok(client) => {
                let back = frame.translated_in(client).bytes();
                same(Verdict::TranslatedIn, &back, outcome.verdict, &bytes);
            }
            Err(verdict) => same(verdict, &sent, outcome.verdict, &bytes),
        }
    }

    fn packet(&mut self, src: Endpoint, dst: Endpoint) -> Packet {
        let protocol = match self.random.u8(0..20) {
            0..8 => Protocol::Udp,
            8..17 => Protocol::Tcp,
            17..19 => Protocol::Icmp,
            _ => Protocol::Gre,
        };
        let (src, dst) = match protocol {
            Protocol::Icmp => (src, (dst.0, 0)),
            Protocol::Gre => ((src.0, 0), (dst.0, 0)),
            _ => (src, dst),
        };
        let segment = match self.random.u8(0..3) {
            0 => self.pick(&Segment::ALL),
            _ => Segment::Syn,
        };
        Packet {
            protocol,
            src,
            dst,
            segment,
            reply: false,
        }
    }

    fn client(&mut self) -> Endpoint {
        let client = self.pick(&CLIENTS);
        // Few at a time, so that they come back; a port below 1024 and the forwarded one among them.
        let port = [
            443,
            444,
            1001,
            5000,
            5001,
            5002,
            6000 + self.random.u16(0..24),
        ];
        (client, self.pick(&port))
    }

    /// An external endpoint that is somebody's, or could be.
    fn external(&mut self) -> Endpoint {
        let mut owned: Vec<_> = self.nat.mappings.keys().copied().collect();
        owned.sort_unstable();
        match self.random.u8(0..10) {
            0 => (EXTERNAL, PORT),
            1 => (EXTERNAL, self.random.u16(MANY_PORTS)),
            2 => ([203, 0, 113, 21], self.random.u16(POOL_PORTS)),
            3 => (EXTERNAL, 22),
            4 => FORWARDED.0,
            _ => owned[self.random.usize(0..owned.len())].1,
        }
    }

    /// The mapping that the engine has for a client's endpoint.
    fn mapping(&self, protocol: Protocol, client: Endpoint) -> Option<Endpoint> {
        let key = mappings::inner_key(client.0, client.1, protocol);
        let inner = self.host.mappings.copy(&key)?;
        Some((inner.addr, inner.port))
    }

    fn hook(&mut self) -> Hook {
        self.pick(&[Hook::Xdp, Hook::Tc])
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.usize(0..from.len())]
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.log.len() == 40 {
            self.log.pop_front();
        }
        self.log.push_back(line());
    }
}

fn frame(packet: &Packet) -> Frame {
    let Packet {
        protocol,
        src,
        dst,
        segment,
        reply,
    } = *packet;
    match protocol {
        Protocol::Tcp => Frame::tcp(src, dst, segment.flags()),
        Protocol::Udp => Frame::udp(src, dst),
        Protocol::Icmp if reply => Frame::pong(src.0, dst.0, dst.1),
        Protocol::Icmp => Frame::ping(src.0, dst.0, src.1),
        other => Frame::raw(src.0, dst.0, other as u8),
    }
}

fn source(protocol: Protocol, bytes: &[u8]) -> Endpoint {
    let at = match protocol {
        Protocol::Icmp => Some(38),
        Protocol::Gre => None,
        _ => Some(34),
    };
    let port = at.map_or(0, |at| u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    (bytes[26..30].try_into().expect("4 bytes"), port)
}

fn same(verdict: Verdict, expected: &[u8], seen: Verdict, bytes: &[u8]) {
    assert_eq!(verdict, seen, "the model says the first");
    assert_eq!(expected, bytes, "{verdict:?}");
}
