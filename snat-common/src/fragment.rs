//! Fragments, in any order (RFC 4787 REQ-14): a later one goes where its datagram's first one went.
//!
//! The first fragment has the ports; if it is translated, map `FRAGMENTS` keeps them for the others, with the IP
//! identification that all of them leave with and the blocks that have come. A later fragment that finds
//! nothing there is held ([`Verdict::FragmentHeld`]) until the first comes and it is sent through here anew;
//! unless it is to go untranslated whatever its ports: that is [`crate::policy`]'s to say.
//!
//! Why a flood of fragments harms nobody else: only a first fragment of a live flow takes a place in
//! `FRAGMENTS`, a client's in a rate that the settings limit. What became of other first fragments that concern
//! us is in `UNTRANSLATED`, and what waits is in `HELD`, each of a fixed size, where the oldest goes. So junk
//! costs datagrams that come out of order and nothing else.

use crate::{
    clock::age,
    datagram::{Blocks, DatagramHead, DatagramKey, DatagramRef, Untranslated},
    env::Env,
    packet::ETH_LEN,
    parse::Parsed,
    verdict::{Action, Verdict},
};

/// Ticks after which nothing is known of a datagram any more: 30 s, the time that its receiver waits for it.
pub const LIFE: u32 = 1788;

/// Ticks after which a second first fragment begins another datagram under the same identification, even if
/// the one before did not come whole: 2 s. Before that it is a copy, or an attack.
const SAME: u32 = 120;

/// More fragments follow.
const MORE: u16 = 0x2000;
/// Where the offset stands, in blocks of eight bytes.
const OFFSET: u16 = 0x1fff;

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Flags and offset as on the wire, as a number.
    pub word: u16,
    /// IP identification on arrival.
    pub id: u16,
    /// The one that it leaves with, of a fragment that is translated.
    pub new_id: u16,
}

impl Piece {
    /// Whether it is a part, not a whole.
    #[inline(always)]
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.word & (MORE | OFFSET) != 0
    }

    /// Whether it is a part without a transport header.
    #[inline(always)]
    #[must_use]
    pub const fn is_later(self) -> bool {
        self.word & OFFSET != 0
    }

    /// Whether others follow.
    #[inline(always)]
    #[must_use]
    pub const fn has_more(self) -> bool {
        self.word & MORE != 0
    }

    /// Where its data stand in the datagram's, in bytes.
    #[inline(always)]
    #[must_use]
    pub const fn offset(self) -> u32 {
        (self.word & OFFSET) as u32 * 8
    }

    /// Whether no datagram can have such a part: cut at no block's end, reaching beyond the largest datagram,
    /// or beginning inside the TCP header (RFC 791, RFC 1858 §3, RFC 3128). `data` is its length.
    #[inline(always)]
    #[must_use]
    pub const fn is_invalid(self, header_len: u32, data: u32, ip_protocol: u8) -> bool {
        const TCP: u8 = 6;
        data == 0
            || (self.has_more() && !data.is_multiple_of(8))
            || header_len + self.offset() + data > 0xffff
            || (ip_protocol == TCP && self.is_later() && self.offset() < 20)
    }
}

/// Gives a later fragment the ports of its datagram. [`Verdict::TranslatedOut`]: it goes on like any packet,
/// as long as there is a flaw as one that has no ports; everything else is final.
#[inline(never)]
pub fn recognise<E: Env>(env: &E, parsed: &mut Parsed, now: u32) -> Verdict {
    let to_ours = env.external(parsed.key.dst).is_some();
    if to_ours && parsed.flaw == Some(Verdict::FragmentInvalid) {
        return Verdict::FragmentInvalid;
    }
    if parsed.flaw != Some(Verdict::FragmentHeld) {
        return Verdict::TranslatedOut;
    }
    let key = DatagramKey::of(parsed);
    if let Some(datagram) = current(env, &key, now)
        && !is_passed_since(env, &key, datagram.head().begun, now)
    {
        let head = datagram.head();
        parsed.key.src_port = head.src_port;
        parsed.key.dst_port = head.dst_port;
        parsed.piece.new_id = head.new_id;
        parsed.flaw = None;
        return Verdict::TranslatedOut;
    }
    match env.untranslated(&key) {
        Some(first) if age(now, first.since) <= LIFE && first.passed != 0 => Verdict::NotOurs,
        Some(first) if age(now, first.since) <= LIFE => Verdict::Unsolicited,
        // The host's own or a client's: only the first can tell.
        _ if to_ours => Verdict::FragmentHeld,
        _ => Verdict::TranslatedOut,
    }
}

/// Whether the host was given a first fragment under this key after `begun`: the identification is used again.
#[inline(always)]
fn is_passed_since<E: Env>(env: &E, key: &DatagramKey, begun: u32, now: u32) -> bool {
    env.untranslated(key)
        .is_some_and(|first| first.passed != 0 && age(now, first.since) < age(now, begun))
}

/// Whether a later fragment of this datagram needs not wait any more.
#[inline(always)]
pub fn is_decided<E: Env>(env: &E, key: &DatagramKey, now: u32) -> bool {
    current(env, key, now).is_some()
        || env
            .untranslated(key)
            .is_some_and(|first| age(now, first.since) <= LIFE)
}

/// Enters a fragment that is about to be translated. [`Verdict::TranslatedOut`] says that it may be.
#[inline(never)]
pub fn enter<E: Env>(env: &E, parsed: &mut Parsed, inbound: bool, now: u32) -> Verdict {
    let key = DatagramKey::of(parsed);
    if !parsed.piece.is_later() {
        match begin(env, parsed, &key, inbound, now) {
            Verdict::TranslatedOut => {}
            refused => return refused,
        }
    }
    let Some(datagram) = env.datagram(&key) else {
        return Verdict::FragmentLimit;
    };
    let first = parsed.piece.offset() / 8;
    let data = u32::from(parsed.ip_len) - (parsed.transport - ETH_LEN);
    let end = first + data.div_ceil(8);
    let repeat = |limit, blocks: &mut Blocks<'_>| env.repeat(limit, blocks);
    if datagram.take(repeat, first, end, !parsed.piece.has_more()) {
        Verdict::TranslatedOut
    } else {
        Verdict::FragmentInvalid
    }
}

/// Notes what became of a first fragment that was not translated, so that the others share its fate.
#[inline(never)]
pub fn settle<E: Env>(env: &E, parsed: &Parsed, verdict: Verdict, now: u32) {
    let passed = match verdict.action() {
        Action::Forward | Action::Again | Action::Split => return,
        Action::Pass => true,
        Action::Drop | Action::Refuse | Action::Hold => false,
    };
    // The rest passes, or not, without anybody asking for ports.
    let concerns_us = env.external(parsed.key.dst).is_some()
        || (!passed && env.source_entry(parsed.key.src).is_some());
    if concerns_us && !parsed.piece.is_later() {
        let first = Untranslated {
            since: now,
            passed: u32::from(passed),
        };
        env.note_untranslated(&DatagramKey::of(parsed), &first);
    }
}

#[inline(always)]
fn begin<E: Env>(
    env: &E,
    parsed: &mut Parsed,
    key: &DatagramKey,
    inbound: bool,
    now: u32,
) -> Verdict {
    let (Some(settings), Some(shared)) = (env.settings(), env.shared()) else {
        return Verdict::FragmentLimit;
    };
    if current(env, key, now).is_some_and(|known| age(now, known.head().begun) <= SAME) {
        return Verdict::FragmentInvalid;
    }
    // Whoever sends them, they are the client's: a server that sends without end takes nobody else's places.
    let rate = settings.fragments_per_source;
    let whose = if inbound {
        env.flow(&parsed.key).map(|flow| flow.target().0)
    } else {
        Some(parsed.key.src)
    };
    if rate != 0
        && let Some(client) = whose.and_then(|client| env.client(client))
        && !client.take_fragments(rate, now)
    {
        return Verdict::FragmentLimit;
    }
    parsed.piece.new_id = if inbound {
        parsed.piece.id
    } else {
        shared.take_ip_ids(1)
    };
    let head = DatagramHead {
        begun: now,
        total: 0,
        seen: 0,
        src_port: parsed.key.src_port,
        dst_port: parsed.key.dst_port,
        new_id: parsed.piece.new_id,
        zero: 0,
    };
    if env.begin_datagram(key, &head) {
        Verdict::TranslatedOut
    } else {
        Verdict::FragmentLimit
    }
}

/// What is known of a datagram that still misses a part.
#[inline(always)]
fn current<'a, E: Env>(env: &'a E, key: &DatagramKey, now: u32) -> Option<DatagramRef<'a>> {
    let datagram = env.datagram(key)?;
    let head = datagram.head();
    let whole = head.total != 0 && head.seen >= u64::from(head.total);
    (!whole && age(now, head.begun) <= LIFE).then_some(datagram)
}
