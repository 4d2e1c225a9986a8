//! The search for an external port.
//!
//! What is searched for is either a port of a client endpoint's own (a mapping, towards any destination), or
//! one that is free towards one destination. Both are claimed by an insertion that fails if somebody has
//! it; the search only decides what to try.
//!
//! First come a few guesses, spread by the hash of the client's endpoint. Where they fail, most ports are taken, and
//! from then on searches go through a bitmap of those that are ([`crate::Busy`]). It begins empty and learns from
//! each success and failure; whoever gives a port back clears its bit. So no port is found taken twice in vain,
//! a search costs as much as it passes words of 64 ports, and it ends without a port only when there is none.
//! That is noted too, until a port is given back: to refuse a flow costs no search.

use crate::{
    checksum,
    env::{Env, Insert, Step},
    event::Event,
    flow::Protocol,
    life,
    mapping_ref::BusyRef,
    mappings,
    settings::PORT_WORDS,
    verdict::Verdict,
    work::Work,
};

/// Guesses before the bitmap is asked.
const GUESSES: u32 = 16;
/// Ports that one packet may try in all. Far more than any search needs whose bitmap has been learning all along.
const BUDGET: u32 = 4096;
/// More turns than any search has: three rounds through the words, and the ports tried.
const TURNS: u32 = GUESSES + 3 * (PORT_WORDS + 2) + BUDGET;
/// Steps from one guess to the next. Primes beyond the size of any set, so that none is visited twice;
/// several, so that flows which begin at the same port part ways.
const STEPS: [u32; 8] = [
    65_537, 65_539, 65_543, 65_551, 65_557, 65_563, 65_579, 65_581,
];
/// Words that a turn may pass.
const BLOCK: u32 = 32;
/// Where no port is free, some that are known as taken are looked at again: what holds them may have expired,
/// also while no daemon sweeps. At most every so many ticks (0.27 s), and this many of them.
const LOOK_EVERY: u32 = 16;
const LOOKS: u32 = 256;

/// Searches for a port as `work` says, and claims it: [`Verdict::TranslatedOut`] with the port in
/// `work.outer` or `work.in_key`, or why there is none.
#[inline(never)]
pub fn search<E: Env>(env: &E, work: &mut Work) -> Verdict {
    let (count, low) = env.port_counts(work.set);
    let is_low = work.packet.src_port < 1024;
    // 0-1023 stay among themselves where the set has any of them (RFC 4787 REQ-3a).
    let (first, count) = if low == 0 || low == count {
        (0, count)
    } else if is_low && keeps_class(work.packet.protocol) {
        (0, low)
    } else {
        (low, count.wrapping_sub(low))
    };
    work.first = first;
    work.count = count;
    work.words = 0;
    work.left = 0;
    work.round = 0;
    work.budget = BUDGET;
    work.tries = 0;
    work.freed = 0;
    work.end = Verdict::PortsExhausted as u8;
    let known = env.busy(&work.busy);
    if let Some(busy) = known {
        work.freed = busy.freed();
        work.round = if busy.is_full(work.set) { 2 } else { 0 };
    }
    work.guesses = if known.is_some() { 0 } else { GUESSES };
    env.repeat(TURNS, &mut Search { env, work });
    env.searched(work.tries);
    match work.end {
        end if end == Verdict::TranslatedOut as u8 => Verdict::TranslatedOut,
        end if end == Verdict::TableFull as u8 => Verdict::TableFull,
        _ => Verdict::PortsExhausted,
    }
}

struct Search<'a, E> {
    env: &'a E,
    work: &'a mut Work,
}

impl<E: Env> Step for Search<'_, E> {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        let port = if index < self.work.guesses {
            self.guess(index)
        } else if self.work.left != 0 {
            self.take()
        } else {
            return self.next_word();
        };
        // 0 is no port: it does not fit, or the set is being rewritten.
        port != 0 && self.attempt(port)
    }
}

impl<E: Env> Search<'_, E> {
    #[inline(always)]
    fn guess(&self, index: u32) -> u16 {
        let Work {
            packet,
            hash,
            count,
            first,
            set,
            ..
        } = *self.work;
        if index >= count {
            return 0;
        }
        let step = STEPS[(hash >> 61) as usize & 7];
        // Below 2^21: no overflow.
        let position = first + (hash as u32 % count + index * step) % count;
        let port = self.env.port(set, position).unwrap_or(0);
        if keeps_parity(packet.protocol) && (port ^ packet.src_port) & 1 != 0 {
            return 0;
        }
        port
    }

    /// Goes on to the next word of the bitmap that has any, or by a block of words. True ends the search.
    #[inline(always)]
    fn next_word(&mut self) -> bool {
        if self.work.words == 0 && !self.next_round() {
            return true;
        }
        // A lookup a word would be most of the search where nearly all ports are taken.
        match self.env.busy(&self.work.busy) {
            Some(busy) => {
                for _ in 0..BLOCK {
                    if self.pass(Some(busy)) {
                        break;
                    }
                }
            }
            None => drop(self.pass(None)),
        }
        false
    }

    /// Goes on to the next word. True if it has a port to try, or is the last.
    #[inline(always)]
    fn pass(&mut self, busy: Option<BusyRef<'_>>) -> bool {
        let word = (self.work.word + 1) & (PORT_WORDS - 1);
        let taken = busy.map_or(0, |busy| busy.word(word));
        self.work.words = self.work.words.wrapping_sub(1);
        self.work.word = word;
        if self.work.round < 3 {
            let free = !taken & self.mask();
            // What is in the set matters only where something is free: nearly nowhere, if nearly all is taken.
            self.work.left = if free == 0 {
                0
            } else {
                free & self.env.allowed(self.work.set, word)
            };
            return self.work.left != 0 || self.work.words == 0;
        }
        let allowed = self.env.allowed(self.work.set, word);
        if let Some(busy) = busy {
            busy.set_look(self.work.now, word);
        }
        self.work.left = allowed & taken;
        true
    }

    /// Rounds 1 and 2: the ports wanted that are not known as taken, then all such. Round 3: some that are.
    /// False when all is done.
    #[inline(always)]
    fn next_round(&mut self) -> bool {
        let work = &mut *self.work;
        let mut word = (work.hash >> 32) as u32;
        match (work.round, self.env.busy(&work.busy)) {
            (0, None) => {
                self.env.event(Event::SearchScanned);
                self.env.begin_busy(&work.busy);
            }
            (2, Some(busy)) => {
                busy.set_full(work.set, work.freed);
                let (looked, cursor) = busy.look();
                if work.now.wrapping_sub(looked) < LOOK_EVERY {
                    return false;
                }
                work.budget = LOOKS;
                word = cursor;
            }
            (2.., _) => return false,
            _ => {}
        }
        work.round += 1;
        work.words = PORT_WORDS;
        work.word = word;
        true
    }

    /// The ports of a word that keep the client's class and parity; all of them in every second round.
    #[inline(always)]
    fn mask(&self) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let Work {
            packet,
            word,
            round,
            ..
        } = *self.work;
        if round & 1 == 0 {
            return u64::MAX;
        }
        if keeps_class(packet.protocol) && (word < 1024 / 64) != (packet.src_port < 1024) {
            return 0;
        }
        match (keeps_parity(packet.protocol), packet.src_port & 1) {
            (false, _) => u64::MAX,
            (true, 0) => EVEN,
            (true, _) => !EVEN,
        }
    }

    /// Takes one of the ports left: the first from a place that the hash says, so that what is free is not
    /// handed out in order.
    #[inline(always)]
    fn take(&mut self) -> u16 {
        let turn = self.work.hash as u32 & 63;
        let turned = self.work.left.rotate_right(turn);
        let bit = (turned.trailing_zeros() + turn) & 63;
        self.work.left &= !(1 << bit);
        (self.work.word * 64 + bit) as u16
    }

    /// Tries to claim a port. True ends the search.
    #[inline(always)]
    fn attempt(&mut self, port: u16) -> bool {
        if self.work.budget == 0 {
            return true;
        }
        self.work.budget = self.work.budget.wrapping_sub(1);
        self.work.tries = self.work.tries.wrapping_add(1);
        self.work.in_key.dst_port = port;
        // A service that was started after the port set was made keeps its port.
        if self.env.has_socket(&self.work.in_key) {
            return false;
        }
        let mut inserted = self.insert(port);
        // What nobody needs any more does not keep its port from others, also while no daemon sweeps.
        if inserted == Insert::Exists {
            let gone = if self.work.mapped == 0 {
                life::bury(self.env, &self.work.in_key, self.work.now, false)
            } else {
                mappings::retire(self.env, &self.work.outer, self.work.now)
            };
            if gone {
                inserted = self.insert(port);
            }
        }
        if inserted != Insert::Full {
            self.learn(port);
        }
        self.work.end = match inserted {
            Insert::Done => Verdict::TranslatedOut as u8,
            Insert::Full => Verdict::TableFull as u8,
            Insert::Exists => return false,
        };
        true
    }

    #[inline(always)]
    fn insert(&mut self, port: u16) -> Insert {
        let work = &mut *self.work;
        if work.mapped != 0 {
            work.outer.port = port;
            return self.env.add_mapping(&work.outer, &work.mapping);
        }
        work.entry.port_delta = checksum::port_delta(port, work.entry.port);
        self.env.insert(&work.in_key, &work.entry)
    }

    /// Notes a port that is taken; not for good if it was given back in between.
    #[inline(always)]
    fn learn(&self, port: u16) {
        let Some(busy) = self.env.busy(&self.work.busy) else {
            return;
        };
        busy.mark(port);
        let free = if self.work.mapped == 0 {
            self.env.flow(&self.work.in_key).is_none()
        } else {
            self.env.mapping(&self.work.outer).is_none()
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
