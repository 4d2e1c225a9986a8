//! `snat-ctl run --trace`: at the end of a program, what it made of the packet, if that is asked for.
//!
//! Off, it costs nothing: the switch is a constant when a program is loaded, so the verifier takes all this out. That
//! is why nothing is noted on the way: what led to the verdict is looked up anew.

use aya_ebpf::{EbpfContext, Global, maps::lpm_trie::Key};
use aya_log_ebpf::info;
use snat_common::{
    Env, FlowKey, Packet, Verdict,
    parse::parse,
    trace::{FILTER_WORDS, Filter, HANDED_ON, NO_ENTRY, Program, Story},
};

use crate::{
    kernel::Kernel,
    maps::{BYPASS, PARSED, SOURCES},
};

/// Set by the loader.
#[unsafe(no_mangle)]
static TRACE: Global<u8> = Global::new(0);
/// So too: [`Filter::words`].
#[unsafe(no_mangle)]
static TRACE_FILTER: Global<[u32; FILTER_WORDS]> = Global::new([0; FILTER_WORDS]);

/// A packet comes to a program that reads it without keeping what it read.
#[inline(always)]
pub(crate) fn read<P: Packet, E: Env>(packet: &P, env: &E) {
    if is_on() {
        forget();
        keep(packet, env);
    }
}

/// A packet comes to a program that keeps what it reads.
#[inline(always)]
pub(crate) fn begin() {
    if is_on() {
        forget();
    }
}

/// A program is done with the packet.
#[inline(always)]
pub(crate) fn end<C: EbpfContext>(
    ctx: &C,
    program: Program,
    verdict: Verdict,
    ingress: u32,
    egress: u32,
) {
    if is_on() {
        tell(ctx, program as u8, verdict as u8, ingress, egress);
    }
}

/// Another program goes on with it.
#[inline(always)]
pub(crate) fn hand_on<C: EbpfContext>(ctx: &C, program: Program, ingress: u32) {
    if is_on() {
        tell(ctx, program as u8, HANDED_ON, ingress, 0);
    }
}

#[inline(always)]
fn is_on() -> bool {
    TRACE.load() != 0
}

/// What is kept of the packet before.
#[inline(always)]
fn forget() {
    if let Some(parsed) = PARSED.get_ptr_mut(0) {
        // SAFETY: this CPU's own element, which only this program run has.
        unsafe { (*parsed).key = FlowKey::NONE };
    }
}

#[inline(never)]
fn keep<P: Packet, E: Env>(packet: &P, env: &E) {
    if let Ok(parsed) = parse(packet) {
        env.keep(parsed);
    }
}

#[inline(never)]
fn tell<C: EbpfContext>(ctx: &C, program: u8, verdict: u8, ingress: u32, egress: u32) {
    let Some(parsed) = PARSED.get_ptr(0) else {
        return;
    };
    // SAFETY: as in `forget`.
    let key = unsafe { (*parsed).key };
    if key == FlowKey::NONE {
        return;
    }
    let mut story = Story::of(key, program, verdict, ingress, egress);
    if let Some(flow) = Kernel::<true>::new(ctx.as_ptr(), ingress).flow(&key) {
        story.belongs_to(flow);
    } else {
        let entry = SOURCES.get(&Key::new(32, key.src)).copied();
        story.entry = entry.unwrap_or(NO_ENTRY);
        story.bypassed = u32::from(BYPASS.get(&Key::new(32, key.dst)).is_some());
    }
    if Filter::of(TRACE_FILTER.load()).admits(&story) {
        let [a, b, c, d, e] = story.words();
        info!(ctx, "{} {} {} {} {}", a, b, c, d, e);
    }
}
