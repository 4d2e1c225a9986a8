//! What the datapath decides about a packet, for who wants to see it: `snat-ctl run --trace`.
//!
//! The programs send it at their end as a few numbers; the words are put to them in user space, where a string costs
//! no verifier anything.

mod filter;

pub use self::filter::{End, FILTER_WORDS, Filter};
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

#[cfg(test)]
mod tests {
    use super::{Found, Program, Story, Told};
    use crate::flow::FlowKey;

    #[test]
    fn a_story_comes_back_from_its_numbers() {
        let (server, external) = ([192, 0, 2, 1], [203, 0, 113, 10]);
        let key = FlowKey {
            src: server,
            src_port: 443,
            dst: external,
            dst_port: 32001,
            ..FlowKey::NONE
        };
        let mut story = Story::of(key, Program::Slow as u8, 2, 3, 5);
        (story.found, story.entry) = (Found::In as u8, 7);
        (story.target, story.target_port) = ([172, 16, 4, 9], 4000);
        let told = Told::of(story.words());
        assert_eq!((told.src, told.src_port), (server, 443));
        assert_eq!((told.dst, told.dst_port), (external, 32001));
        assert_eq!((told.target, told.target_port), ([172, 16, 4, 9], 4000));
        assert_eq!((told.ingress, told.entry, told.egress), (3, 7, 5));
        assert_eq!((told.verdict, told.bypassed), (2, 255));
        assert_eq!(
            (told.program, told.found),
            (Program::Slow as u8, Found::In as u8)
        );
    }
}
