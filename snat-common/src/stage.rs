//! The TC programs that others hand a packet on to: elements of map `STAGES`.

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
}

impl Stage {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Slow, Self::Answer, Self::Open];

    /// The name of its program.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Slow => "snat_tc_slow",
            Self::Answer => "snat_tc_answer",
            Self::Open => "snat_tc_open",
        }
    }
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
    /// Always zero.
    pub zero: u8,
}
