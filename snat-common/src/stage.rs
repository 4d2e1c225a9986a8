//! The TC programs that others hand a packet on to: elements of map `STAGES`.

use crate::{datagram::DatagramKey, next_hop::Hop};

/// A program that a tail call reaches; the index in map `STAGES`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The whole engine, for what the fast path leaves.
    Slow = 0,
    /// Answers a packet that is refused.
    Answer = 1,
    /// Opens a flow; then comes [`Stage::Slow`] again.
    Open = 2,
    /// Keeps a fragment that came before the first of its datagram.
    Hold = 3,
    /// Lets those in that waited for the first of their datagram, and sends that.
    Release = 4,
    /// Cuts up a packet that is larger than its way.
    Split = 5,
    /// Reports a packet that is dropped without an answer, to who watches.
    Drop = 6,
}

impl Stage {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Slow,
        Self::Answer,
        Self::Open,
        Self::Hold,
        Self::Release,
        Self::Split,
        Self::Drop,
    ];

    /// The name of its program.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Slow => "snat_tc_slow",
            Self::Answer => "snat_tc_answer",
            Self::Open => "snat_tc_open",
            Self::Hold => "snat_tc_hold",
            Self::Release => "snat_tc_release",
            Self::Split => "snat_tc_split",
            Self::Drop => "snat_tc_drop",
        }
    }
}

/// What [`Stage::Release`] is to let in, and what then becomes of the packet; the element of the per-CPU map
/// `RELEASE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Whose fragments are held.
    pub key: DatagramKey,
    /// 1 if there are any.
    pub wanted: u32,
    /// Where the packet goes.
    pub hop: Hop,
    /// 1 if it goes there, 0 if the stack has it.
    pub forward: u32,
}

/// What one stage tells the next; the element of the per-CPU map `HANDOVER`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// Number of the verdict that the packet has so far.
    pub verdict: u32,
    /// Largest IP packet of the way out, where it is too large for that.
    pub mtu: u16,
    /// 1 for a packet that is looked at once more ([`crate::Action::Again`]).
    pub again: u8,
    /// 1 for one that a flow was just opened for: if it finds none, it is not given another.
    pub opened: u8,
}
