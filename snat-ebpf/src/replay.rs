//! One program's cost per packet.
//!
//! `prog_test_run` runs a program on the same frame again and again, as the run before has left it: a translated packet
//! is another flow's. So a program here writes the frame first, as it came from a wire, and goes on by tail call to
//! what is measured; the cost of the same with `nothing` behind it is taken off.

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    btf_maps::{Array, ProgramArray},
    macros::{btf_map, classifier, xdp},
    programs::{TcContext, XdpContext},
};
use snat_common::load::replay::{FRAME_LEN, MAX_FRAMES, Replay};

/// The frames.
#[btf_map]
static FRAMES: Array<[u8; FRAME_LEN], { MAX_FRAMES as usize }> = Array::new();

/// Which of them is next.
#[btf_map]
static REPLAY: Array<Replay, 1> = Array::new();

/// What is measured.
#[btf_map]
static MEASURED_XDP: ProgramArray<1> = ProgramArray::new();

/// What is measured. Programs of two kinds can't be in one array.
#[btf_map]
static MEASURED_TC: ProgramArray<1> = ProgramArray::new();

#[xdp]
fn replay_xdp(ctx: XdpContext) -> u32 {
    if write(ctx.data(), ctx.data_end()).is_some() {
        // SAFETY: nothing here has a destructor.
        unsafe { MEASURED_XDP.tail_call(&ctx, 0) };
    }
    xdp_action::XDP_ABORTED
}

#[classifier]
fn replay_tc(ctx: TcContext) -> i32 {
    if write(ctx.data(), ctx.data_end()).is_some() {
        // SAFETY: nothing here has a destructor.
        unsafe { MEASURED_TC.tail_call(&ctx, 0) };
    }
    TC_ACT_SHOT
}

#[xdp]
fn nothing_xdp(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[classifier]
fn nothing_tc(_: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

#[inline(always)]
fn write(start: usize, end: usize) -> Option<()> {
    let replay = REPLAY.get_ptr_mut(0)?;
    // SAFETY: one CPU at a time runs this.
    let next = unsafe { (*replay).turn() };
    let frame = FRAMES.get(next)?;
    if start + FRAME_LEN > end {
        return None;
    }
    // SAFETY: in bounds.
    unsafe { (start as *mut [u8; FRAME_LEN]).write(*frame) };
    Some(())
}
