//! The search for an external port.
//!
//! What is searched for is either a port of a client endpoint's own (a mapping, towards any destination), or
//! one that is free towards one destination. Both are claimed by an insertion that fails if somebody has
//! it; the search only decides what to try.
//!
//! First come a few guesses, spread by the hash of the client's endpoint. Where they fail, most ports are taken,
//! and the search goes through a bitmap of those that are ([`crate::Busy`]). It begins empty and learns
//! from each failure; whoever gives a port back clears its bit. So no port is found taken twice in vain,
//! a search costs as much as it passes words of 64 ports, and it ends without a port only when there is none.

use crate::{
    checksum,
    env::{Env, Insert, Step},
    event::Event,
    flow::{FlowEntry, FlowKey, Protocol},
    life,
    mapping::{BusyKey, Mapping, MappingKey},
    mapping_ref::BusyRef,
    mappings,
    settings::PORT_WORDS,
    verdict::Verdict,
};

/// Guesses before the bitmap is asked.
const GUESSES: u32 = 16;
/// More turns than any search has: four rounds through the words, and each port tried twice.
const TURNS: u32 = GUESSES + 4 * (PORT_WORDS + 2) + 2 * 65_536;
/// Steps from one guess to the next. Primes beyond the size of any set, so that none is visited twice;
/// several, so that flows which begin at the same port part ways.
const STEPS: [u32; 8] = [
    65_537, 65_539, 65_543, 65_551, 65_557, 65_563, 65_579, 65_581,
];
/// Ticks after which a bitmap without a free port is begun anew, for it may have missed what became free
/// (flows that expired while no daemon sweeps): 4.3 s.
const RELEARN: u32 = 256;

/// What a search is for.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Index in `PORT_SETS`.
    pub set: u32,
    /// Hash of the client's endpoint.
    pub hash: u64,
    /// The client's port.
    pub client_port: u16,
    /// Whether the port is to be the endpoint's own.
    pub mapped: bool,
    /// Protocol.
    pub protocol: Protocol,
}

/// A search under way; what it is to insert, with the port that it found.
pub struct Search<'a, E> {
    env: &'a E,
    wanted: Wanted,
    now: u32,
    /// The `In` entry to be, where `wanted.mapped` is not set.
    pub entry: FlowEntry,
    /// Its key.
    pub key: FlowKey,
    /// The mapping to be, where it is.
    pub mapping: Mapping,
    /// Its key.
    pub outer: MappingKey,
    busy_key: BusyKey,
    busy: Option<BusyRef<'a>>,
    /// Ports of the class wanted: the first and how many, as indices of the set.
    first: u32,
    count: u32,
    /// Words of the bitmap still to visit in this round.
    words: u32,
    /// The word at hand, and which of its ports are still to be tried.
    word: u32,
    left: u64,
    /// Rounds begun.
    round: u8,
    /// [`Verdict::TranslatedOut`] once a port is claimed.
    pub end: Verdict,
}

impl<'a, E: Env> Search<'a, E> {
    /// A search for what `wanted` says, towards what `busy_key` says.
    #[inline(always)]
    pub fn new(
        env: &'a E,
        wanted: Wanted,
        entry: FlowEntry,
        key: FlowKey,
        mapping: Mapping,
        outer: MappingKey,
        busy_key: BusyKey,
        now: u32,
    ) -> Self {
        let (count, low) = env.port_counts(wanted.set);
        // 0-1023 stay among themselves where the set has any of them (RFC 4787 REQ-3a).
        let (first, count) = match (wanted.client_port < 1024 && keeps_class(wanted.protocol), low) {
            (_, 0) => (0, count),
            (true, low) => (0, low),
            (false, low) if low == count => (0, count),
            (false, low) => (low, count.wrapping_sub(low)),
        };
        Self {
            env,
            wanted,
            now,
            entry,
            key,
            mapping,
            outer,
            busy_key,
            busy: None,
            first,
            count,
            words: 0,
            word: 0,
            left: 0,
            round: 0,
            end: Verdict::PortsExhausted,
        }
    }

    /// Searches until a port is claimed or none is left; then `end` says which.
    #[inline(always)]
    pub fn run(&mut self) {
        self.env.repeat(TURNS, self);
    }
}

impl<E: Env> Step for Search<'_, E> {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        if index < GUESSES {
            if index < self.count
                && let Some(port) = self.guess(index)
            {
                return self.attempt(port);
            }
            return false;
        }
        if self.left == 0 {
            return self.next_word();
        }
        let bit = self.take_bit();
        self.attempt((self.word * 64 + bit) as u16)
    }
}

impl<'a, E: Env> Search<'a, E> {
    #[inline(always)]
    fn guess(&self, index: u32) -> Option<u16> {
        let step = STEPS[(self.wanted.hash >> 61) as usize & 7];
        let start = self.wanted.hash as u32 % self.count.max(1);
        // Below 2^21: no overflow.
        let position = self.first + (start + index * step) % self.count.max(1);
        let port = self.env.port(self.wanted.set, position)?;
        let fits = !keeps_parity(self.wanted.protocol) || (port ^ self.wanted.client_port) & 1 == 0;
        // 0 is no port: the set is being rewritten.
        (port != 0 && fits).then_some(port)
    }

    /// Goes on to the next word of the bitmap. True ends the search.
    #[inline(always)]
    fn next_word(&mut self) -> bool {
        if self.words == 0 && !self.next_round() {
            return true;
        }
        self.words = self.words.wrapping_sub(1);
        self.word = (self.word + 1) & (PORT_WORDS - 1);
        let taken = self.busy.map_or(0, |busy| busy.word(self.word));
        self.left = self.env.allowed(self.wanted.set, self.word) & !taken & self.mask();
        false
    }

    /// Rounds 0 and 1: the ports wanted, then all. Then, if the bitmap is old, the same once more with an
    /// empty one. False when all is done.
    #[inline(always)]
    fn next_round(&mut self) -> bool {
        let round = self.round;
        if round >= 4 {
            return false;
        }
        if round == 0 {
            self.env.event(Event::SearchScanned);
            if self.env.busy(&self.busy_key).is_none() {
                self.begin();
            }
        }
        if round == 2 {
            let Some(busy) = self.busy else {
                return false;
            };
            if self.now.wrapping_sub(busy.since()) <= RELEARN {
                return false;
            }
            self.begin();
        }
        self.busy = self.env.busy(&self.busy_key);
        self.round = round + 1;
        self.words = PORT_WORDS;
        self.word = (self.wanted.hash >> 32) as u32 & (PORT_WORDS - 1);
        true
    }

    #[inline(always)]
    fn begin(&self) {
        self.env.begin_busy(&self.busy_key);
        if let Some(busy) = self.env.busy(&self.busy_key) {
            busy.set_since(self.now);
        }
    }

    /// The ports of a word that keep the client's class and parity; all of them in every second round.
    #[inline(always)]
    fn mask(&self) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if self.round & 1 == 0 {
            return u64::MAX;
        }
        let class = !keeps_class(self.wanted.protocol)
            || (self.word < 1024 / 64) == (self.wanted.client_port < 1024);
        let parity = match (keeps_parity(self.wanted.protocol), self.wanted.client_port & 1) {
            (false, _) => u64::MAX,
            (true, 0) => EVEN,
            (true, _) => !EVEN,
        };
        if class { parity } else { 0 }
    }

    /// Takes one of the ports left: the first from a place that the hash says, so that what is free is not
    /// handed out in order.
    #[inline(always)]
    fn take_bit(&mut self) -> u32 {
        let turn = self.wanted.hash as u32 & 63;
        let turned = self.left.rotate_right(turn);
        let bit = (turned.trailing_zeros() + turn) & 63;
        self.left &= !(1 << bit);
        bit
    }

    /// Tries to claim a port. True ends the search.
    #[inline(always)]
    fn attempt(&mut self, port: u16) -> bool {
        let mut inserted = self.insert(port);
        // What nobody needs any more does not keep its port from others, also while no daemon sweeps.
        if inserted == Insert::Exists {
            let gone = if self.wanted.mapped {
                mappings::retire(self.env, &self.outer, self.now)
            } else {
                life::bury(self.env, &self.key, self.now, false)
            };
            if gone {
                inserted = self.insert(port);
            }
        }
        match inserted {
            Insert::Done => self.end = Verdict::TranslatedOut,
            Insert::Full => self.end = Verdict::TableFull,
            Insert::Exists => {
                self.learn(port);
                return false;
            }
        }
        true
    }

    #[inline(always)]
    fn insert(&mut self, port: u16) -> Insert {
        if self.wanted.mapped {
            self.outer.port = port;
            return self.env.add_mapping(&self.outer, &self.mapping);
        }
        self.key.dst_port = port;
        self.entry.port_delta = checksum::port_delta(port, self.entry.port);
        self.env.insert(&self.key, &self.entry)
    }

    /// Notes a port that is taken; not for good if it was given back in between.
    #[inline(always)]
    fn learn(&self, port: u16) {
        let Some(busy) = self.busy else {
            return;
        };
        busy.mark(port);
        let free = if self.wanted.mapped {
            self.env.mapping(&self.outer).is_none()
        } else {
            self.env.flow(&self.key).is_none()
        };
        if free {
            busy.clear(port);
        }
    }
}

/// Well-known ports mean something to who sees them as a source, for the protocols that have such ports.
#[inline(always)]
const fn keeps_class(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::Icmp)
}

/// RTP and RTCP take an even port and the odd one behind it (RFC 4787 REQ-4).
#[inline(always)]
const fn keeps_parity(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Udp | Protocol::UdpLite)
}
