//! The SNAT engine's kernel home: entry points.
//!
//! - `snat_xdp`, where the NIC allows: packets of flows that live.
//! - `snat_tc` on ingress, always: what XDP passed on, or everything. It can do what XDP can't: let the
//!   kernel find a neighbour's address, and finish checksums that are left to hardware. What is no packet of
//!   a living flow goes on by tail call to `snat_tc_slow` (policy, hairpin), and from there to `snat_tc_open`
//!   (new flows), `snat_tc_answer` (refused), `snat_tc_hold` and `snat_tc_release` (fragments out of order) or
//!   `snat_tc_split` (too large).
//! - `snat_guard` on egress, always: stops a client's packet that got around the two.
//! - `snat_sweep`, never attached: the daemon runs it to remove expired flows without racing traffic.
//! - `snat_look`, never attached: `explain` runs it to ask for routes and sockets as the others do.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the attributes of the entry points hand the context over by value"
)]

mod fragment;
mod frame;
mod kernel;
mod look;
mod maps;
mod report;
mod split;
mod sweep;
mod trace;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_redir_neigh, xdp_action},
    helpers::{bpf_redirect, bpf_redirect_neigh},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use snat_common::{
    Action, Env as _, Packet as _, Verdict, Wire, answer,
    claim::claim,
    fast,
    next_hop::Hop,
    policy::leaks,
    process,
    stage::{Handover, Stage},
    trace::Program,
};

use crate::{
    frame::{SkbFrame, XdpFrame},
    kernel::Kernel,
    maps::{HANDOVER, STAGES, VERDICTS, WORK},
    report::{Way, report},
};

const AF_INET: u32 = 2;
/// What `tc_index` of a frame says to the guard: sent by us.
const SENT: u32 = 0x5a17;
/// Sent to another station, and only seen here.
const PACKET_OTHERHOST: u32 = 3;

#[xdp]
fn snat_xdp(ctx: XdpContext) -> u32 {
    let ingress = ctx.ingress_ifindex() as u32;
    let mut frame = XdpFrame(ctx.ctx);
    let env = Kernel::<false>::new(ctx.as_ptr(), ingress);
    trace::read(&frame, &env);
    let Some(outcome) = fast(&mut frame, &env) else {
        trace::hand_on(&ctx, Program::Xdp, ingress);
        // Not counted: the TC program sees the packet next and has the last word.
        return xdp_action::XDP_PASS;
    };
    count(outcome.verdict, outcome.wire);
    trace::end(
        &ctx,
        Program::Xdp,
        outcome.verdict,
        ingress,
        outcome.hop.ifindex,
    );
    if outcome.verdict.action() != Action::Forward {
        return xdp_action::XDP_DROP;
    }
    if outcome.hop.ifindex == ingress {
        return xdp_action::XDP_TX;
    }
    // SAFETY: no pointers.
    unsafe { bpf_redirect(outcome.hop.ifindex, 0) as u32 }
}

#[classifier]
fn snat_tc(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let (ingress, vlan, kind) = unsafe { ((*skb).ifindex, (*skb).vlan_present, (*skb).pkt_type) };
    mark(skb, 0);
    if vlan != 0 || kind == PACKET_OTHERHOST {
        count(
            if vlan != 0 {
                Verdict::NotIpv4
            } else {
                Verdict::NotOurs
            },
            Wire::one(ctx.len()),
        );
        return TC_ACT_UNSPEC;
    }
    let mut frame = SkbFrame::new(skb);
    let env = Kernel::<true>::new(ctx.as_ptr(), ingress);
    trace::read(&frame, &env);
    if let Some(outcome) = fast(&mut frame, &env) {
        count(outcome.verdict, outcome.wire);
        trace::end(
            &ctx,
            Program::Tc,
            outcome.verdict,
            ingress,
            outcome.hop.ifindex,
        );
        return finish(skb, outcome.verdict.action(), &outcome.hop);
    }
    trace::hand_on(&ctx, Program::Tc, ingress);
    hand_over(&ctx, Stage::Slow, Handover::default())
}

/// Everything that the fast path leaves: reached from `snat_tc` by a tail call.
#[classifier]
fn snat_tc_slow(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let ingress = unsafe { (*skb).ifindex };
    let again = handed_over().again != 0;
    if !again {
        fragment::nothing_to_release();
    }
    let mut frame = SkbFrame::new(skb);
    let env = Kernel::<true>::new(ctx.as_ptr(), ingress);
    trace::begin();
    let outcome = process(&mut frame, &env, again);
    trace::end(
        &ctx,
        Program::Slow,
        outcome.verdict,
        ingress,
        outcome.hop.ifindex,
    );
    // These two are counted by the programs that try.
    if outcome.verdict.action() == Action::Hold {
        hand_over(&ctx, Stage::Hold, Handover::default());
        return TC_ACT_SHOT;
    }
    if outcome.verdict.action() == Action::Split {
        let handover = Handover {
            mtu: outcome.hop.mtu,
            ..Handover::default()
        };
        hand_over(&ctx, Stage::Split, handover);
        return TC_ACT_SHOT;
    }
    count(outcome.verdict, outcome.wire);
    let handover = Handover {
        verdict: outcome.verdict as u32,
        mtu: outcome.hop.mtu,
        again: 1,
        opened: 0,
    };
    match outcome.verdict.action() {
        Action::Refuse => {
            let handover = Handover {
                again: u8::from(again),
                ..handover
            };
            hand_over(&ctx, Stage::Answer, handover);
            TC_ACT_SHOT
        }
        // A packet goes round twice at most: what is translated back is no client's to anybody.
        Action::Again if !again => {
            hand_over(&ctx, Stage::Slow, handover);
            TC_ACT_SHOT
        }
        Action::Drop => {
            hand_over(&ctx, Stage::Drop, handover);
            TC_ACT_SHOT
        }
        action => {
            if fragment::keep_for_release(&outcome) {
                hand_over(&ctx, Stage::Release, handover);
            }
            finish(skb, action, &outcome.hop)
        }
    }
}

/// Holds a fragment that came before the first of its datagram.
#[classifier]
fn snat_tc_hold(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let ingress = unsafe { (*skb).ifindex };
    match fragment::hold(skb, &Kernel::<true>::new(ctx.as_ptr(), ingress)) {
        Some(verdict) => end(&ctx, verdict),
        None => {
            hand_over(&ctx, Stage::Slow, Handover::default());
        }
    }
    TC_ACT_SHOT
}

/// Lets in the fragments that waited for this one, and sends it.
#[classifier]
fn snat_tc_release(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let ingress = unsafe { (*skb).ifindex };
    match fragment::release(skb, &Kernel::<true>::new(ctx.as_ptr(), ingress)) {
        Some(release) if release.forward != 0 => finish(skb, Action::Forward, &release.hop),
        Some(_) => TC_ACT_UNSPEC,
        None => TC_ACT_SHOT,
    }
}

/// Cuts up a packet that is larger than its way; the pieces come in again.
#[classifier]
fn snat_tc_split(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let (ingress, len) = unsafe { ((*skb).ifindex, (*skb).len) };
    let env = Kernel::<true>::new(ctx.as_ptr(), ingress);
    if split::split(skb, &env, handed_over().mtu) {
        count(Verdict::Split, Wire::one(len));
    } else {
        end(&ctx, Verdict::TooBig);
    }
    TC_ACT_SHOT
}

/// Opens the flow that `snat_tc_slow` has granted, and gives the packet back to it.
#[classifier]
fn snat_tc_open(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let ingress = unsafe { (*skb).ifindex };
    let env = Kernel::<true>::new(ctx.as_ptr(), ingress);
    let Some(work) = WORK.get_ptr_mut(0) else {
        return TC_ACT_SHOT;
    };
    // SAFETY: this CPU's own element: nothing else has it until this program is done.
    let verdict = claim(&env, unsafe { &mut *work }, env.now());
    trace::end(&ctx, Program::Open, verdict, ingress, 0);
    if verdict == Verdict::TranslatedOut {
        let handover = Handover {
            opened: 1,
            ..handed_over()
        };
        hand_over(&ctx, Stage::Slow, handover);
        return TC_ACT_SHOT;
    }
    end(&ctx, verdict);
    TC_ACT_SHOT
}

/// Answers a packet that was refused, as far as it is due an answer.
#[classifier]
fn snat_tc_answer(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let ingress = unsafe { (*skb).ifindex };
    let handover = handed_over();
    let Some(&verdict) = Verdict::ALL.get(handover.verdict as usize) else {
        return TC_ACT_SHOT;
    };
    report(skb, verdict, Way::In);
    let mut frame = SkbFrame::new(skb);
    let env = Kernel::<true>::new(ctx.as_ptr(), ingress);
    if !answer(&mut frame, &env, verdict, handover.mtu) {
        return TC_ACT_SHOT;
    }
    if handover.again != 0 {
        // To the external address of a client that has sent to another one: as from outside, translated back.
        hand_over(&ctx, Stage::Slow, handover);
        return TC_ACT_SHOT;
    }
    mark(skb, SENT);
    // SAFETY: no pointers.
    unsafe { bpf_redirect(ingress, 0) as i32 }
}

/// Reports a packet that nobody is told about.
#[classifier]
fn snat_tc_drop(ctx: TcContext) -> i32 {
    if let Some(&verdict) = Verdict::ALL.get(handed_over().verdict as usize) {
        report(ctx.skb.skb, verdict, Way::In);
    }
    TC_ACT_SHOT
}

#[classifier]
fn snat_guard(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let (ingress, sent) = unsafe { ((*skb).ingress_ifindex, (*skb).tc_index) };
    if sent == SENT {
        return TC_ACT_UNSPEC;
    }
    let frame = SkbFrame::new(skb);
    if leaks(&frame, &Kernel::<true>::new(ctx.as_ptr(), ingress)) {
        count(Verdict::LeakStopped, Wire::one(frame.frame_len()));
        report(skb, Verdict::LeakStopped, Way::Out);
        return TC_ACT_SHOT;
    }
    TC_ACT_UNSPEC
}

/// Removes what the caller's keys, in the packet, stand for; returns how many are gone.
#[classifier]
fn snat_sweep(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    let kernel = Kernel::<true>::new(ctx.as_ptr(), 0);
    sweep::sweep(skb, &kernel)
}

/// Answers the question in the packet, about one that came in by the context's interface.
#[classifier]
fn snat_look(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let ingress = unsafe { (*skb).ifindex };
    look::look(skb, &Kernel::<true>::new(ctx.as_ptr(), ingress))
}

/// What a hook does in the end.
#[inline(always)]
fn finish(skb: *mut __sk_buff, action: Action, hop: &Hop) -> i32 {
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
fn hand_over(ctx: &TcContext, stage: Stage, handover: Handover) -> i32 {
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
fn mark(skb: *mut __sk_buff, value: u32) {
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
fn end(ctx: &TcContext, verdict: Verdict) {
    count(verdict, Wire::one(ctx.len()));
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

#[inline(always)]
fn count(verdict: Verdict, wire: Wire) {
    if let Some(counter) = VERDICTS.get_ptr_mut(verdict as u32) {
        // SAFETY: this CPU's own element, and programs of one CPU do not interrupt each other here.
        unsafe {
            (*counter).packets += u64::from(wire.packets);
            (*counter).bytes += u64::from(wire.bytes);
        }
    }
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// On any other target there is nothing to run: it is only compiled there to be checked.
#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// MIT or GPL, at the user's choice, as the kernel asks for its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
