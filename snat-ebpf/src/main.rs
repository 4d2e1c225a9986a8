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
//! - `snat_adopt`, never attached: `adopt` runs it to make flows of the kernel's NAT connections.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the attributes of the entry points hand the context over by value"
)]

mod adopt;
mod ends;
mod fragment;
mod frame;
mod kernel;
mod look;
mod lookup;
mod maps;
mod report;
mod split;
mod sweep;
mod trace;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    helpers::bpf_redirect,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use snat_common::{
    Action, Env as _, Packet as _, Verdict, Wire, answer,
    claim::claim,
    fast,
    policy::leaks,
    process,
    stage::{Handover, Stage},
    trace::Program,
};

use crate::{
    ends::{SENT, as_read, count, end, finish, hand_over, handed_over, mark},
    frame::{SkbFrame, XdpFrame},
    kernel::Kernel,
    maps::WORK,
    report::{Way, report},
};

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
    let mut frame = SkbFrame::plain(skb);
    let env = Kernel::<true>::new(ctx.as_ptr(), ingress);
    trace::read(&frame, &env);
    if let Some(outcome) = fast(&mut frame, &env) {
        trace::end(
            &ctx,
            Program::Tc,
            outcome.verdict,
            ingress,
            outcome.hop.ifindex,
        );
        if outcome.verdict.action() != Action::Forward {
            end(&ctx, outcome.verdict, outcome.wire);
            return TC_ACT_SHOT;
        }
        count(outcome.verdict, outcome.wire);
        return finish(skb, Action::Forward, &outcome.hop);
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
        Some(verdict) => end(&ctx, verdict, as_read(&ctx)),
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
        end(&ctx, Verdict::TooBig, as_read(&ctx));
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
    end(&ctx, verdict, as_read(&ctx));
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
    // Ours, or the host's own.
    if sent == SENT || ingress == 0 {
        return TC_ACT_UNSPEC;
    }
    let frame = SkbFrame::ip(skb);
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

/// Makes a flow of the connection in the packet.
#[classifier]
fn snat_adopt(ctx: TcContext) -> i32 {
    adopt::adopt(ctx.skb.skb, &Kernel::<true>::new(ctx.as_ptr(), 0))
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
