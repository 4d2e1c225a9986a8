//! Dropped packets for those who watch: `snat-ctl drops --watch`.

use core::{ffi::c_void, ptr::NonNull};

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_ktime_get_ns, bpf_skb_load_bytes},
};
use snat_common::{
    Env, Event, Packet as _, Verdict, bucket,
    report::{Dropped, SNAP_LEN, Watch},
    wire::{load32, opaque},
};

use crate::{
    frame::SkbFrame,
    kernel::Kernel,
    maps::{DROPS, WATCH},
};

/// Which way a packet was going.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Reports a packet that is dropped, if anybody wants to see it.
#[inline(always)]
pub(crate) fn report(skb: *mut __sk_buff, verdict: Verdict, way: Way) {
    let Some(watch) = WATCH.get_ptr_mut(0).and_then(NonNull::new) else {
        return;
    };
    let env = Kernel::<true>::new(skb.cast(), 0);
    // SAFETY: the map's one element, which the control plane writes a word at a time.
    if unsafe { watch.as_ref() }.wants(verdict, env.now()) {
        tell(skb, watch, verdict as u8, way as u8);
    }
}

/// The rest, which hardly any packet needs.
#[inline(never)]
fn tell(skb: *mut __sk_buff, watch: NonNull<Watch>, verdict: u8, egress: u8) {
    let env = Kernel::<true>::new(skb.cast(), 0);
    // SAFETY: the program's context, and the map's one element.
    let (watch_now, len, ifindex) = unsafe { (watch.as_ref(), (*skb).len, (*skb).ifindex) };
    if let Some(head) = SkbFrame::ip(skb).window::<34>(0)
        && !watch_now.concerns(
            load32::<26, 34>(head).to_ne_bytes(),
            load32::<30, 34>(head).to_ne_bytes(),
        )
    {
        return;
    }
    // SAFETY: a field of the element, which only `bucket::take` touches.
    let taken = unsafe {
        let budget = NonNull::new_unchecked(&raw mut (*watch.as_ptr()).budget);
        bucket::take(budget, watch_now.per_second, env.now())
    };
    if !taken {
        env.event(Event::ReportHeldBack);
        return;
    }
    let Some(mut record) = DROPS.reserve(0) else {
        env.event(Event::ReportLost);
        return;
    };
    // The verifier wants to see that it is neither 0 nor too much.
    let wanted = opaque(if len < SNAP_LEN { len } else { SNAP_LEN } as usize) as u32;
    let captured = ((wanted.wrapping_sub(1)) & (SNAP_LEN - 1)) + 1;
    let dropped: *mut Dropped = record.as_mut_ptr();
    // SAFETY: a reserved record of that size; the helper writes at most `SNAP_LEN` bytes.
    unsafe {
        (*dropped).time = bpf_ktime_get_ns();
        (*dropped).ifindex = ifindex;
        (*dropped).len = len;
        (*dropped).verdict = verdict;
        (*dropped).egress = egress;
        (*dropped).zero = [0; 2];
        let bytes = (&raw mut (*dropped).bytes).cast::<c_void>();
        let read = bpf_skb_load_bytes(skb.cast(), 0, bytes, captured);
        (*dropped).captured = if read == 0 { captured } else { 0 };
    }
    record.submit(0);
}
