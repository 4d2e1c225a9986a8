//! Packets of every kind, made up by a generator that is the same each time.

use std::{
    collections::HashMap,
    net::SocketAddrV4,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::Value;
use snat_tests::segment::{ACK, FIN, RST, SYN};

use crate::{
    ground::{EXTERNAL, GATEWAY, MTU, NARROW, OWN_SOCKET},
    packets::{AH, Case, ESP, GRE, ICMP, SCTP, Side, TCP, UDP, UDP_LITE, at, has_ports},
    world::{CLIENTS, EXTERNALS, ODD_SOURCES, ODD_TARGETS, SERVERS, UDP_TIMEOUT},
};

/// An explanation comes before its packet: whatever may expire in between is left alone.
const MARGIN: Duration = Duration::from_millis(1500);

/// Every so many packets there is one that would seldom come by itself, and of so many kinds.
const RARE_EVERY: u32 = 8;
const RARE_KINDS: u32 = 6;

const LATE: usize = 8;

/// Makes up packets, some of which belong to what has happened before.
pub(crate) struct Generator {
    rng: Rng,
    made: u32,
    /// Packets that were sent on, as they left: what answers them is what a flow expects.
    left: Vec<Case>,
    /// Clients' UDP packets that were sent on, with what answers each.
    datagrams: Vec<(Case, Case)>,
    /// When a UDP flow was last used, by both ends of its packets.
    used: HashMap<(SocketAddrV4, SocketAddrV4), Instant>,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            made: 0,
            left: Vec::new(),
            datagrams: Vec::new(),
            used: HashMap::new(),
        }
    }

    /// The next packet.
    pub(crate) fn next(&mut self) -> Case {
        self.made += 1;
        let mut case = if self.made.is_multiple_of(RARE_EVERY) {
            self.rare(self.made / RARE_EVERY % RARE_KINDS)
        } else {
            let usual = self.usual();
            self.vary(usual)
        };
        if self.is_about_to_expire(&case) {
            case.protocol = TCP;
        }
        case
    }

    /// Once all UDP flows have expired: what answers some of them, and then their clients again.
    pub(crate) fn late(&self) -> Vec<Case> {
        let last = self.used.values().max().map(Instant::elapsed);
        let left = (UDP_TIMEOUT + MARGIN).saturating_sub(last.unwrap_or_default());
        thread::sleep(left);
        let some = self.datagrams.iter().rev().take(LATE);
        let (clients, answers): (Vec<_>, Vec<_>) = some.copied().unzip();
        answers.into_iter().chain(clients).collect()
    }

    fn usual(&mut self) -> Case {
        match self.rng.u8(..90) {
            0..40 => self.of_a_client(),
            40..60 => self.answer(),
            60..66 => self.again(),
            66..74 => self.hairpinned(),
            74..86 => self.of_outside(),
            _ => self.of_beside(),
        }
    }

    /// Remembers what became of it.
    pub(crate) fn note(&mut self, case: &Case, explanation: &Value) {
        let Some((src, dst)) = leaves_as(explanation) else {
            return;
        };
        let side = match explanation["egress"].as_str() {
            Some("eth0") => Side::Outside,
            _ => Side::Inside,
        };
        let left = Case {
            side,
            src,
            dst,
            ..*case
        };
        self.left.push(left);
        if case.protocol == UDP && (case.side, side) == (Side::Inside, Side::Outside) {
            let answer = Case {
                src: dst,
                dst: src,
                ttl: 64,
                size: 0,
                ..left
            };
            self.datagrams.push((*case, answer));
        }
        if case.protocol == UDP {
            let now = Instant::now();
            self.used.insert((case.src, case.dst), now);
            self.used.insert((dst, src), now);
        }
    }

    fn of_a_client(&mut self) -> Case {
        let client = self.one(CLIENTS);
        let dst = if self.rng.u8(..4) == 0 {
            self.one(ODD_TARGETS)
        } else {
            self.one(SERVERS)
        };
        let src = if self.rng.u8(..12) == 0 {
            self.one(ODD_SOURCES)
        } else {
            client
        };
        let protocol = self.protocol(src);
        let src_port = self.one([40_000, 40_001, 40_002, 40_004, 500, 5060]);
        let dst_port = self.one([53, 443, 5060]);
        case(
            Side::Inside,
            protocol,
            at(src, src_port),
            at(dst, dst_port),
            self.flags(),
        )
    }

    /// What would answer a packet that has left, or comes from beside the one that it was sent to.
    fn answer(&mut self) -> Case {
        let Some(left) = self.rng.choice(&self.left).copied() else {
            return self.of_outside();
        };
        let mut src = left.dst;
        match self.rng.u8(..8) {
            0 => src.set_port(src.port() ^ 1),
            1 | 2 => src.set_ip(self.one(SERVERS).into()),
            _ => {}
        }
        Case {
            src,
            dst: left.src,
            ttl: 64,
            size: 0,
            flags: self.one([SYN | ACK, ACK, ACK, FIN | ACK, RST, SYN]),
            ..left
        }
    }

    /// A packet like one before.
    fn again(&mut self) -> Case {
        let left = self.rng.choice(&self.left).copied();
        let begun = left.filter(|left| left.side == Side::Outside);
        match begun {
            // As it left, from inside: that is somebody who claims the gateway's address.
            Some(left) if self.rng.u8(..4) == 0 => Case {
                side: Side::Inside,
                ..left
            },
            _ => self.of_a_client(),
        }
    }

    fn hairpinned(&mut self) -> Case {
        let client = self.one(CLIENTS);
        let dst = self.external();
        let protocol = self.one([UDP, TCP, TCP, ICMP, GRE]);
        let protocol = if protocol == UDP {
            self.protocol(client)
        } else {
            protocol
        };
        let src = at(client, self.one([40_000, 40_001]));
        case(Side::Inside, protocol, src, dst, self.flags())
    }

    fn of_outside(&mut self) -> Case {
        let src = match self.rng.u8(..8) {
            0 => self.one(ODD_SOURCES),
            1 => self.one(CLIENTS),
            _ => self.one(SERVERS),
        };
        let dst = self.external();
        let protocol = self.one([UDP, TCP, TCP, ICMP, GRE, SCTP, UDP_LITE]);
        let src = at(src, self.one([53, 443, 5060]));
        case(Side::Outside, protocol, src, dst, self.flags())
    }

    fn of_beside(&mut self) -> Case {
        let src = self.one([CLIENTS[0], [192, 0, 2, 5]]);
        let dst = self.one([SERVERS[0], [172, 20, 0, 1], GATEWAY]);
        let protocol = self.one([UDP, TCP]);
        let dst = at(dst, OWN_SOCKET);
        case(Side::Beside, protocol, at(src, 40_000), dst, SYN)
    }

    /// One of our endpoints: a forward's, a socket's, one that is handed out, one that is not.
    fn external(&mut self) -> SocketAddrV4 {
        let addr = self.one(EXTERNALS);
        let port = self.one([
            8443, 700, 700, OWN_SOCKET, 2001, 3001, 4003, 1500, 60_500, 22,
        ]);
        match port {
            8443 | 700 | OWN_SOCKET => at(EXTERNAL, port),
            2001 => at(EXTERNALS[1], port),
            3001 => at(EXTERNALS[2], port),
            4003 => at(EXTERNALS[3], port),
            _ => at(addr, port),
        }
    }

    fn protocol(&mut self, client: [u8; 4]) -> u8 {
        let protocol = self.one([
            UDP, UDP, UDP, TCP, TCP, TCP, TCP, ICMP, ICMP, GRE, ESP, SCTP, UDP_LITE, AH, 99,
        ]);
        let has_udp = matches!(client, [172, 16, 1 | 7, _]);
        if matches!(protocol, UDP | UDP_LITE) && !has_udp {
            TCP
        } else {
            protocol
        }
    }

    fn flags(&mut self) -> u8 {
        self.one([SYN, SYN, SYN, SYN, ACK, SYN | ACK, RST, FIN | ACK])
    }

    /// What would seldom come by itself, of so many kinds.
    fn rare(&mut self, kind: u32) -> Case {
        let server = at(self.one(SERVERS), 53);
        let to_forward = case(Side::Outside, UDP, server, at(EXTERNAL, 700), 0);
        let own_ports = self.left.iter().filter(|left| {
            left.src.ip().octets() == EXTERNAL && matches!(left.protocol, TCP | UDP)
        });
        let own_ports: Vec<_> = own_ports.copied().collect();
        match (kind, self.rng.choice(own_ports)) {
            (0, Some(left)) => {
                let stranger = at([198, 51, 100, 77], 53);
                case(Side::Outside, left.protocol, stranger, left.src, SYN)
            }
            (0 | 1, _) => Case {
                size: NARROW.1 + 60,
                dont_fragment: true,
                ..to_forward
            },
            (2, _) => Case {
                ttl: 1,
                ..to_forward
            },
            (3, _) => {
                let client = at(CLIENTS[4], self.rng.u16(1024..));
                case(Side::Inside, TCP, client, at(SERVERS[0], 443), SYN)
            }
            (4, _) => case(Side::Outside, UDP, server, at(EXTERNAL, OWN_SOCKET), 0),
            _ => case(Side::Beside, TCP, at(CLIENTS[0], 40_000), server, SYN),
        }
    }

    /// A TTL that is used up, or a packet that is too large for one way or the other.
    fn vary(&mut self, mut case: Case) -> Case {
        if self.rng.u8(..12) == 0 {
            case.ttl = 1;
        }
        let is_inside = case.side == Side::Inside;
        let odds = if is_inside { 10 } else { 4 };
        if self.rng.u8(..odds) == 0 {
            case.size = if is_inside { MTU + 60 } else { NARROW.1 + 60 };
        }
        case.dont_fragment = self.rng.bool();
        if !has_ports(case.protocol) {
            self.vary_echo(&mut case);
        }
        case
    }

    /// Of echo the identifier stands at the client's end; protocols without ports have none.
    fn vary_echo(&mut self, case: &mut Case) {
        let identifier = match (case.side, case.src.port(), case.dst.port()) {
            (Side::Inside, 0, _) | (_, _, 0) => 40_000,
            (Side::Inside, src, _) => src,
            (_, _, dst) => dst,
        };
        case.src.set_port(0);
        case.dst.set_port(0);
        if case.protocol != ICMP {
            return;
        }
        if case.side == Side::Inside && self.rng.u8(..4) != 0 {
            case.src.set_port(identifier);
        } else {
            case.dst.set_port(identifier);
        }
    }

    fn is_about_to_expire(&self, case: &Case) -> bool {
        let used = self.used.get(&(case.src, case.dst));
        case.protocol == UDP
            && used.is_some_and(|used| {
                let idle = used.elapsed();
                idle + MARGIN > UDP_TIMEOUT && idle < UDP_TIMEOUT + MARGIN
            })
    }

    fn one<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.rng.usize(..N)]
    }
}

/// The ends of a packet as it leaves, by its explanation.
pub(crate) fn leaves_as(explanation: &Value) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let leaving = &explanation["leaves_as"];
    Some((endpoint(&leaving["src"])?, endpoint(&leaving["dst"])?))
}

fn endpoint(value: &Value) -> Option<SocketAddrV4> {
    let port = u16::try_from(value["port"].as_u64()?).ok()?;
    Some(SocketAddrV4::new(
        value["addr"].as_str()?.parse().ok()?,
        port,
    ))
}

fn case(side: Side, protocol: u8, src: SocketAddrV4, dst: SocketAddrV4, flags: u8) -> Case {
    Case {
        side,
        protocol,
        src,
        dst,
        ttl: 64,
        size: 0,
        dont_fragment: false,
        flags,
    }
}
