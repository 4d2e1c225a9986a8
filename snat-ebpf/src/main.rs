//! The SNAT engine's kernel home: entry points.
//!
//! - `snat_xdp`, where the NIC allows: everything that can be finished there.
//! - `snat_tc` on ingress, always: what XDP passed on, or everything. It can do what XDP can't: let the
//!   kernel find a neighbour's address, and finish checksums that are left to hardware.
//! - `snat_guard` on egress, always: stops a client's packet that got around the two.
//! - `snat_sweep`, never attached: the daemon runs it to remove expired flows without racing traffic.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the attributes of the entry points hand the context over by value"
)]

mod frame;
mod kernel;
mod maps;

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_redir_neigh, xdp_action},
    helpers::{bpf_redirect, bpf_redirect_neigh, bpf_skb_load_bytes},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use snat_common::{
    Action, Env as _, FlowKey, Packet as _, Verdict,
    env::Step,
    life::bury,
    next_hop::Hop,
    policy::leaks,
    process,
    sweep::{FLAGS_AT, KEYS_AT, MAX_KEYS},
};

use crate::{
    frame::{SkbFrame, XdpFrame},
    kernel::Kernel,
    maps::VERDICTS,
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
    let outcome = process(&mut frame, &Kernel::<false>::new(ctx.as_ptr(), ingress));
    match outcome.verdict.action() {
        // Not counted: the TC program sees the packet next and has the last word.
        Action::Pass => xdp_action::XDP_PASS,
        Action::Drop => {
            count(outcome.verdict, frame.frame_len());
            xdp_action::XDP_DROP
        }
        Action::Forward => {
            count(outcome.verdict, frame.frame_len());
            if outcome.hop.ifindex == ingress {
                return xdp_action::XDP_TX;
            }
            // SAFETY: no pointers.
            unsafe { bpf_redirect(outcome.hop.ifindex, 0) as u32 }
        }
    }
}

#[classifier]
fn snat_tc(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the program's context.
    let (ingress, vlan, kind) = unsafe { ((*skb).ifindex, (*skb).vlan_present, (*skb).pkt_type) };
    if vlan != 0 || kind == PACKET_OTHERHOST {
        count(
            if vlan != 0 {
                Verdict::NotIpv4
            } else {
                Verdict::NotOurs
            },
            ctx.len(),
        );
        return TC_ACT_UNSPEC;
    }
    let mut frame = SkbFrame::new(skb);
    let outcome = process(&mut frame, &Kernel::<true>::new(ctx.as_ptr(), ingress));
    count(outcome.verdict, frame.frame_len());
    let action = outcome.verdict.action();
    let sent = if action == Action::Forward { SENT } else { 0 };
    // SAFETY: the program's context; the field is writable in TC programs.
    unsafe { (&raw mut (*skb).tc_index).write_volatile(sent) };
    match action {
        // The next program, or the stack.
        Action::Pass => TC_ACT_UNSPEC,
        Action::Drop => TC_ACT_SHOT,
        Action::Forward => send(&outcome.hop),
    }
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
        count(Verdict::LeakStopped, frame.frame_len());
        return TC_ACT_SHOT;
    }
    TC_ACT_UNSPEC
}

/// Removes the flows whose `In` keys the caller put into the packet; returns how many are gone.
#[classifier]
fn snat_sweep(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    let kernel = Kernel::<true>::new(ctx.as_ptr(), 0);
    let now = kernel.now();
    let frame = SkbFrame::new(skb);
    let force = frame
        .window::<1>(FLAGS_AT)
        .is_some_and(|flags| flags[0] != 0);
    let mut sweep = Sweep {
        skb,
        kernel: &kernel,
        now,
        force,
        buried: 0,
    };
    kernel.repeat(MAX_KEYS, &mut sweep);
    sweep.buried
}

struct Sweep<'a> {
    skb: *mut __sk_buff,
    kernel: &'a Kernel<true>,
    now: u32,
    force: bool,
    buried: i32,
}

impl Step for Sweep<'_> {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        const SIZE: u32 = size_of::<FlowKey>() as u32;
        let mut key = MaybeUninit::<FlowKey>::uninit();
        let at = KEYS_AT + index * SIZE;
        // SAFETY: the helper fills exactly `SIZE` bytes or fails; the caller sends keys of the map.
        let key = unsafe {
            if bpf_skb_load_bytes(self.skb.cast(), at, key.as_mut_ptr().cast(), SIZE) != 0 {
                return true;
            }
            key.assume_init_ref()
        };
        self.buried += i32::from(bury(self.kernel, key, self.now, self.force));
        false
    }
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

#[inline(always)]
fn count(verdict: Verdict, bytes: u32) {
    if let Some(counter) = VERDICTS.get_ptr_mut(verdict as u32) {
        // SAFETY: this CPU's own element, and programs of one CPU do not interrupt each other here.
        unsafe {
            (*counter).packets += 1;
            (*counter).bytes += u64::from(bytes);
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
