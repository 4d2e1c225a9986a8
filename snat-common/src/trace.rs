//! What the datapath decides about a packet, for who wants to see it: `snat-ctl run --trace`.
//!
//! The programs send it at their end as a few numbers; the words are put to them in user space, where a string costs
//! no verifier anything.

use crate::{
    flow::{Addr, FlowKey},
    flow_ref::FlowRef,
};

/// Value of what was not asked.
pub const UNASKED: u32 = u32::MAX;
/// [`Story::entry`] of an address that is in no `snat.source`.
pub const NO_ENTRY: u32 = u32::MAX - 1;
/// Number in place of a [`crate::Verdict`]'s: another program goes on with the packet.
pub const HANDED_ON: u8 = 255;
/// How many numbers a [`Story`] is sent as.
pub const WORDS: usize = 5;

/// A program that tells.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `snat_xdp`.
    Xdp = 0,
    /// `snat_tc`.
    Tc = 1,
    /// `snat_tc_slow`.
    Slow = 2,
    /// `snat_tc_open`.
    Open = 3,
}

/// What the flow table said.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No such flow.
    Nothing = 0,
    /// The packet is its client's.
    Out = 1,
    /// It is its server's.
    In = 2,
}

/// What a program made of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Story {
    /// Addresses and ports as the packet came; of an ICMP error, those of what it is about, turned around.
    pub key: FlowKey,
    /// Of its flow: the external endpoint of a client's packet, the client's of a server's.
    pub target: Addr,
    /// The port that goes with it.
    pub target_port: u16,
    /// Number of a [`Found`].
    pub found: u8,
    /// The SNAT entry of its source, [`NO_ENTRY`] or [`UNASKED`].
    pub entry: u32,
    /// Whether its destination is bypassed: 0, 1, or [`UNASKED`].
    pub bypassed: u32,
    /// Interface that the packet came in by.
    pub ingress: u32,
    /// Interface that it is sent to; 0: to none.
    pub egress: u32,
    /// Number of a [`Program`].
    pub program: u8,
    /// Number of a [`crate::Verdict`], or [`HANDED_ON`].
    pub verdict: u8,
}

/// Which packets are shown; each part left at its widest admits all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Number of a [`crate::Protocol`], or [`UNASKED`].
    pub protocol: u32,
    /// The client.
    pub client: End,
    /// The server.
    pub server: End,
    /// What the server sees of the client.
    pub external: End,
}

/// An endpoint's part of a [`Filter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Prefix: its address.
    pub net: Addr,
    /// And its mask; zero admits every address.
    pub mask: Addr,
    /// The port, or [`UNASKED`].
    pub port: u32,
}

/// How many numbers a [`Filter`] is handed over as.
pub const FILTER_WORDS: usize = 10;

impl Story {
    /// Of which no flow is known.
    #[inline(always)]
    #[must_use]
    pub const fn of(key: FlowKey, program: u8, verdict: u8, ingress: u32, egress: u32) -> Self {
        Self {
            key,
            target: [0; 4],
            target_port: 0,
            found: Found::Nothing as u8,
            entry: UNASKED,
            bypassed: UNASKED,
            ingress,
            egress,
            program,
            verdict,
        }
    }

    /// Its flow is this.
    #[inline(always)]
    pub fn belongs_to(&mut self, flow: FlowRef<'_>) {
        (self.target, self.target_port) = flow.target();
        self.found = if flow.life().is_inbound() {
            Found::In
        } else {
            Found::Out
        } as u8;
    }

    /// As numbers; [`Told::of`] is the way back.
    #[inline(always)]
    #[must_use]
    pub fn words(&self) -> [u64; WORDS] {
        let addr = |addr: Addr| u64::from(u32::from_be_bytes(addr));
        let key = &self.key;
        [
            u64::from(self.program)
                | u64::from(self.verdict) << 8
                | u64::from(key.protocol as u8) << 16
                | u64::from(key.number) << 24
                | u64::from(self.found) << 32
                | u64::from(self.bypassed as u8) << 40,
            addr(key.src) << 32 | addr(key.dst),
            u64::from(key.src_port) << 32
                | u64::from(key.dst_port) << 16
                | u64::from(self.target_port),
            addr(self.target) << 32 | u64::from(self.entry),
            u64::from(self.ingress) << 32 | u64::from(self.egress),
        ]
    }
}

/// A [`Story`] as it was sent: nothing says that its numbers are of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `Story`, by the same names")]
pub struct Told {
    pub program: u8,
    pub verdict: u8,
    pub protocol: u8,
    pub number: u8,
    pub found: u8,
    pub bypassed: u8,
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
    pub target: Addr,
    pub target_port: u16,
    pub entry: u32,
    pub ingress: u32,
    pub egress: u32,
}

impl Told {
    /// From [`Story::words`].
    #[must_use]
    pub const fn of(words: [u64; WORDS]) -> Self {
        let [kinds, ends, ports, target, ways] = words;
        Self {
            program: kinds as u8,
            verdict: (kinds >> 8) as u8,
            protocol: (kinds >> 16) as u8,
            number: (kinds >> 24) as u8,
            found: (kinds >> 32) as u8,
            bypassed: (kinds >> 40) as u8,
            src: ((ends >> 32) as u32).to_be_bytes(),
            dst: (ends as u32).to_be_bytes(),
            src_port: (ports >> 32) as u16,
            dst_port: (ports >> 16) as u16,
            target: ((target >> 32) as u32).to_be_bytes(),
            target_port: ports as u16,
            entry: target as u32,
            ingress: (ways >> 32) as u32,
            egress: ways as u32,
        }
    }
}

impl Filter {
    /// Everything.
    pub const ALL: Self = Self {
        protocol: UNASKED,
        client: End::ANY,
        server: End::ANY,
        external: End::ANY,
    };

    /// As numbers, for a program's constants.
    #[must_use]
    pub fn words(&self) -> [u32; FILTER_WORDS] {
        let [c, s, e] = [self.client, self.server, self.external].map(End::words);
        [
            self.protocol,
            c[0],
            c[1],
            c[2],
            s[0],
            s[1],
            s[2],
            e[0],
            e[1],
            e[2],
        ]
    }

    /// From those.
    #[inline(always)]
    #[must_use]
    pub fn of(words: [u32; FILTER_WORDS]) -> Self {
        let [protocol, c0, c1, c2, s0, s1, s2, e0, e1, e2] = words;
        Self {
            protocol,
            client: End::of(c0, c1, c2),
            server: End::of(s0, s1, s2),
            external: End::of(e0, e1, e2),
        }
    }

    /// Whether the packet is to be shown, whichever way it goes. What is asked for and not known of it is not so: a
    /// packet from outside that has no flow is no client's.
    #[inline(always)]
    #[must_use]
    pub fn admits(&self, story: &Story) -> bool {
        let key = &story.key;
        if self.protocol != UNASKED && self.protocol != u32::from(key.protocol as u8) {
            return false;
        }
        let src = Some((key.src, key.src_port));
        let dst = Some((key.dst, key.dst_port));
        let target =
            (story.found != Found::Nothing as u8).then_some((story.target, story.target_port));
        let is_in = story.found == Found::In as u8;
        let is_out = story.found == Found::Out as u8;
        let out = !is_in
            && self.client.admits(src)
            && self.server.admits(dst)
            && self.external.admits(target);
        out || !is_out
            && self.client.admits(target)
            && self.server.admits(src)
            && self.external.admits(dst)
    }
}

impl End {
    /// Any.
    pub const ANY: Self = Self {
        net: [0; 4],
        mask: [0; 4],
        port: UNASKED,
    };

    fn words(self) -> [u32; 3] {
        [
            u32::from_ne_bytes(self.net),
            u32::from_ne_bytes(self.mask),
            self.port,
        ]
    }

    #[inline(always)]
    const fn of(net: u32, mask: u32, port: u32) -> Self {
        Self {
            net: net.to_ne_bytes(),
            mask: mask.to_ne_bytes(),
            port,
        }
    }

    #[inline(always)]
    fn admits(&self, end: Option<(Addr, u16)>) -> bool {
        let Some((addr, port)) = end else {
            return self.mask == [0; 4] && self.port == UNASKED;
        };
        let masked = u32::from_ne_bytes(addr) & u32::from_ne_bytes(self.mask);
        masked == u32::from_ne_bytes(self.net)
            && (self.port == UNASKED || self.port == u32::from(port))
    }
}

#[cfg(test)]
mod tests {
    use super::{End, FILTER_WORDS, Filter, Found, Program, Story, Told};
    use crate::flow::{Addr, FlowKey, Protocol};

    const CLIENT: Addr = [172, 16, 4, 9];
    const SERVER: Addr = [192, 0, 2, 1];
    const EXTERNAL: Addr = [203, 0, 113, 10];

    fn story(found: Found) -> Story {
        let mut story = Story::of(FlowKey::NONE, Program::Slow as u8, 2, 3, 5);
        story.key.protocol = Protocol::Tcp;
        story.found = found as u8;
        if found == Found::In {
            (story.key.src, story.key.src_port) = (SERVER, 443);
            (story.key.dst, story.key.dst_port) = (EXTERNAL, 32001);
            (story.target, story.target_port) = (CLIENT, 4000);
        } else {
            (story.key.src, story.key.src_port) = (CLIENT, 4000);
            (story.key.dst, story.key.dst_port) = (SERVER, 443);
            (story.target, story.target_port) = (EXTERNAL, 32001);
        }
        story
    }

    fn end(net: Addr, mask: Addr, port: u32) -> End {
        End { net, mask, port }
    }

    const HOST: Addr = [255; 4];
    const ANY_PORT: u32 = super::UNASKED;

    #[test]
    fn a_client_is_matched_by_its_packets_and_by_the_answers_that_have_its_flow() {
        let filter = Filter {
            client: end([172, 16, 4, 0], [255, 255, 255, 0], ANY_PORT),
            server: end([0; 4], [0; 4], 443),
            protocol: Protocol::Tcp as u32,
            ..Filter::ALL
        };
        for found in [Found::Out, Found::In, Found::Nothing] {
            assert!(filter.admits(&story(found)), "{found:?}");
        }
        let mut stray = story(Found::In);
        stray.found = Found::Nothing as u8;
        assert!(!filter.admits(&stray), "nobody knows whose it is");
        let mut other = story(Found::Out);
        other.key.src = [172, 16, 5, 9];
        assert!(!filter.admits(&other));
        other = story(Found::In);
        other.key.src_port = 80;
        assert!(!filter.admits(&other));
        other = story(Found::In);
        other.key.protocol = Protocol::Udp;
        assert!(!filter.admits(&other));
    }

    #[test]
    fn an_external_port_is_matched_from_outside_and_as_soon_as_it_is_known() {
        let filter = Filter {
            external: end(EXTERNAL, HOST, 32001),
            ..Filter::ALL
        };
        for found in [Found::Out, Found::In] {
            assert!(filter.admits(&story(found)), "{found:?}");
        }
        assert!(!filter.admits(&story(Found::Nothing)));
        let mut stray = story(Found::In);
        stray.found = Found::Nothing as u8;
        assert!(filter.admits(&stray), "it was sent to that port");
    }

    #[test]
    fn filters_and_stories_come_back_from_their_numbers() {
        let filter = Filter {
            client: end(CLIENT, HOST, 4000),
            ..Filter::ALL
        };
        let words: [u32; FILTER_WORDS] = filter.words();
        assert_eq!(Filter::of(words), filter);
        let mut story = story(Found::In);
        story.entry = 7;
        let told = Told::of(story.words());
        assert_eq!((told.src, told.src_port), (SERVER, 443));
        assert_eq!((told.dst, told.dst_port), (EXTERNAL, 32001));
        assert_eq!((told.target, told.target_port), (CLIENT, 4000));
        assert_eq!((told.ingress, told.entry, told.egress), (3, 7, 5));
        assert_eq!((told.verdict, told.bypassed), (2, 255));
        assert_eq!(told.program, Program::Slow as u8);
    }
}
