//! Connections on their way from the kernel's NAT to us, or back: what becomes of packets that have no flow.

use crate::{
    env::Env,
    flow::FlowKey,
    verdict::{Action, Verdict},
};

/// Whose such a packet is; a number of it is [`crate::Settings::transfer`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Ours to decide.
    None = 0,
    /// The kernel's: it opens what is new.
    All = 1,
    /// What opens a flow is ours, unless the kernel had a packet of it before. The rest may belong to a connection that
    /// the kernel still has.
    Strays = 2,
}

/// The last word on a packet without a flow that has this key, and of which this was decided.
#[inline(never)]
pub fn settle<E: Env>(env: &E, key: &FlowKey, decided: Verdict) -> Verdict {
    let transfer = env.settings().map_or(0, |settings| settings.transfer);
    if transfer == Transfer::None as u8 {
        return decided;
    }
    let opens = matches!(decided, Verdict::TranslatedOut);
    let is_kernels = if transfer == Transfer::All as u8 {
        if opens {
            env.note_left(key);
        }
        !stands(decided)
    } else {
        is_stray(decided) || opens && env.was_left(key)
    };
    if is_kernels {
        Verdict::LeftToKernel
    } else {
        decided
    }
}

/// Whether it holds whoever opens flows: the kernel would not see through a forged source.
#[inline(always)]
const fn stands(decided: Verdict) -> bool {
    matches!(decided.action(), Action::Pass)
        || matches!(decided, Verdict::SpoofedSource | Verdict::Martian)
}

/// Whether the packet was refused for want of a flow or a mapping only.
#[inline(always)]
const fn is_stray(decided: Verdict) -> bool {
    matches!(
        decided,
        Verdict::TcpNoFlow | Verdict::StrayIn | Verdict::Unsolicited | Verdict::Filtered
    )
}
