//! How a packet leaves a program: counted, and then sent, left to the stack or to another program, or dropped.

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_redir_neigh},
    helpers::{bpf_redirect, bpf_redirect_neigh},
    programs::TcContext,
};
use snat_common::{
    Action, Verdict, Wire,
    next_hop::Hop,
    stage::{Handover, Stage},
};

use crate::maps::{HANDOVER, PARSED, STAGES, VERDICTS};

const AF_INET: u32 = 2;
/// What `tc_index` of a frame says to the guard: sent by us.
pub(crate) const SENT: u32 = 0x5a17;

/// What a hook does in the end.
#[inline(always)]
pub(crate) fn finish(skb: *mut __sk_buff, action: Action, hop: &Hop) -> i32 {
    match action {
        // The next program, or the stack.
        Action::Pass => TC_ACT_UNSPEC,
        Action::Forward => {
            mark(skb, SENT);
            send(hop)
        }
        Action::Drop | Action::Refuse | Action::Again | Action::Split | Action::Hold => TC_ACT_SHOT,
    }
}

/// Leaves the packet to another program. Returns only if that is missing: then the packet is the stack's, and
/// the guard stops it if it is a client's.
#[inline(always)]
pub(crate) fn hand_over(ctx: &TcContext, stage: Stage, handover: Handover) -> i32 {
    if let Some(slot) = HANDOVER.get_ptr_mut(0) {
        // SAFETY: this CPU's own element, read by the next program before any other packet.
        unsafe { *slot = handover };
    }
    // SAFETY: nothing here has a destructor.
    unsafe { STAGES.tail_call(ctx, stage as u32) };
    TC_ACT_UNSPEC
}

#[inline(always)]
pub(crate) fn handed_over() -> Handover {
    HANDOVER
        .get_ptr(0)
        // SAFETY: as in `hand_over`.
        .map_or(Handover::default(), |slot| unsafe { *slot })
}

/// Tells the guard whose the packet is.
#[inline(always)]
pub(crate) fn mark(skb: *mut __sk_buff, value: u32) {
    // SAFETY: the program's context; the field is writable in TC programs.
    unsafe { (&raw mut (*skb).tc_index).write_volatile(value) };
}

#[inline(always)]
fn send(hop: &Hop) -> i32 {
    // SAFETY: the parameters live on the stack and are of the size given.
    unsafe {
        if hop.unresolved == [0; 4] {
            return bpf_redirect(hop.ifindex, 0) as i32;
        }
        let mut next: bpf_redir_neigh = core::mem::zeroed();
        next.nh_family = AF_INET;
        next.__bindgen_anon_1.ipv4_nh = u32::from_ne_bytes(hop.unresolved);
        bpf_redirect_neigh(
            hop.ifindex,
            &raw mut next,
            size_of::<bpf_redir_neigh>() as i32,
            0,
        ) as i32
    }
}

/// Counts a packet that comes to its end here, and leaves one that is dropped to who answers or reports it.
#[inline(always)]
pub(crate) fn end(ctx: &TcContext, verdict: Verdict, wire: Wire) {
    count(verdict, wire);
    let stage = match verdict.action() {
        Action::Refuse => Stage::Answer,
        Action::Drop => Stage::Drop,
        _ => return,
    };
    let handover = Handover {
        verdict: verdict as u32,
        ..Handover::default()
    };
    hand_over(ctx, stage, handover);
}

/// What the packet is to the wire, by what an earlier program read of it.
#[inline(always)]
pub(crate) fn as_read(ctx: &TcContext) -> Wire {
    PARSED
        .get_ptr(0)
        // SAFETY: this CPU's own element, which only the packet under way has.
        .map_or(Wire::one(ctx.len()), |parsed| unsafe {
            Wire::of(ctx.len(), &*parsed)
        })
}

#[inline(always)]
pub(crate) fn count(verdict: Verdict, wire: Wire) {
    if let Some(counter) = VERDICTS.get_ptr_mut(verdict as u32) {
        // SAFETY: this CPU's own element, and programs of one CPU do not interrupt each other here.
        unsafe {
            (*counter).packets += u64::from(wire.packets);
            (*counter).bytes += u64::from(wire.bytes);
        }
    }
}
