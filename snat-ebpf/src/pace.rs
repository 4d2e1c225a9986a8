//! Packets at an even pace, and how long each takes from who makes it to who receives it.

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::PerCpuArray,
    helpers::bpf_ktime_get_ns,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use snat_common::load::pace::{BUCKETS, Pace, STAMPED, age, bucket, stamp};

use crate::{head, make, sink_of};

/// How fast `pace` is, and when the next packet is due.
#[btf_map]
static PACE: PerCpuArray<Pace, 1> = PerCpuArray::new();

/// How many packets took how long.
#[btf_map]
static TIMES: PerCpuArray<u64, { BUCKETS as usize }> = PerCpuArray::new();

#[xdp]
fn pace(ctx: XdpContext) -> u32 {
    try_pace(&ctx).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn try_pace(ctx: &XdpContext) -> Option<u32> {
    let pace = PACE.get_ptr_mut(0)?;
    // SAFETY: no side effects.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: this CPU's own element.
    if !unsafe { (*pace).is_due(now) } {
        return Some(xdp_action::XDP_DROP);
    }
    let verdict = make(ctx)?;
    let frame = head::<STAMPED>(ctx)?;
    // SAFETY: in bounds.
    stamp(unsafe { &mut *frame }, now);
    Some(verdict)
}

/// As `sink`.
#[xdp]
fn arrive(ctx: XdpContext) -> u32 {
    let verdict = sink_of(&ctx);
    if verdict == xdp_action::XDP_DROP {
        note(&ctx);
    }
    verdict
}

#[inline(always)]
fn note(ctx: &XdpContext) -> Option<()> {
    // SAFETY: in bounds; the clock has no side effects.
    let took = unsafe { age(&*head::<STAMPED>(ctx)?, bpf_ktime_get_ns()) };
    let count = TIMES.get_ptr_mut(bucket(took))?;
    // SAFETY: this CPU's own element.
    unsafe { *count += 1 };
    Some(())
}
