//! What `cargo xtask bench` measures with: a generator, a sink, and the least that an XDP router can do.
//!
//! - `generate`, run on live frames: writes the next flow's headers and sends the frame out of the interface it is
//!   run for. Frames are used again, so all of the headers is written each time.
//! - `pace`: the same at an even pace, and each says when it was made; `arrive`: counts how long they took: `pace.rs`.
//! - `replay_xdp`, `replay_tc`: write a frame anew and go on to a program that is measured: `replay.rs`.
//! - `sink`: counts what arrives, keeps some of it, and drops it.
//! - `redirect`, `transmit`: write the Ethernet addresses and send the frame on, or back: the limit.
//! - `find`: `redirect` that finds the packet's flow first, in a map like the gateway's: the floor of any NAT that has
//!   its flows there.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the attributes of the entry points hand the context over by value"
)]

mod pace;
mod replay;

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, DevMap, HashMap, PerCpuArray},
    helpers::bpf_xdp_load_bytes,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use snat_common::{
    FlowEntry,
    load::{Load, SAMPLE_LEN, SAMPLE_SHIFT, SAMPLES as KEPT, Seen, Turn, WRITTEN, Way},
    wire::{load32, load64},
};

/// What to send.
#[btf_map]
static LOAD: Array<Load, 1> = Array::new();

/// Where the generator is.
#[btf_map]
static TURN: PerCpuArray<Turn, 1> = PerCpuArray::new();

/// What has arrived.
#[btf_map]
static SEEN: PerCpuArray<Seen, 1> = PerCpuArray::new();

/// The beginnings of some of it.
#[btf_map]
static SAMPLES: Array<[u8; SAMPLE_LEN], { KEPT as usize }> = Array::new();

/// Flows as the gateway's own map has them.
#[btf_map]
static FLOWS: HashMap<[u64; 2], [u64; size_of::<FlowEntry>() / 8], { 1 << 21 }> = HashMap::new();

/// What `redirect` and `transmit` write.
#[btf_map]
static WAY: Array<Way, 1> = Array::new();

/// Where `redirect` sends.
#[btf_map]
static OUT: DevMap<1> = DevMap::new();

#[xdp]
fn generate(ctx: XdpContext) -> u32 {
    make(&ctx).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn make(ctx: &XdpContext) -> Option<u32> {
    let load = LOAD.get(0)?;
    // SAFETY: this CPU's own element.
    let turn = unsafe { &mut *TURN.get_ptr_mut(0)? };
    if turn.rests() {
        return Some(xdp_action::XDP_DROP);
    }
    let frame = head::<WRITTEN>(ctx)?;
    // SAFETY: in bounds.
    unsafe { *frame = load.frame(turn) };
    turn.pass(load);
    Some(xdp_action::XDP_TX)
}

#[xdp]
fn sink(ctx: XdpContext) -> u32 {
    sink_of(&ctx)
}

#[inline(always)]
fn sink_of(ctx: &XdpContext) -> u32 {
    let Some(seen) = SEEN.get_ptr_mut(0) else {
        return xdp_action::XDP_ABORTED;
    };
    let Some(frame) = head::<24>(ctx) else {
        return xdp_action::XDP_PASS;
    };
    // SAFETY: this CPU's own element; the frame is in bounds.
    let packets = unsafe {
        if (*frame)[12] != 8 || (*frame)[13] != 0 || (*frame)[23] != 17 {
            return xdp_action::XDP_PASS;
        }
        (*seen).packets += 1;
        (*seen).bytes += (ctx.data_end() - ctx.data()) as u64;
        (*seen).packets
    };
    if packets & ((1 << SAMPLE_SHIFT) - 1) == 0
        && let Some(sample) = SAMPLES.get_ptr_mut((packets >> SAMPLE_SHIFT) as u32 % KEPT)
    {
        // SAFETY: of that size; the helper fails where the frame is shorter.
        unsafe { bpf_xdp_load_bytes(ctx.ctx, 0, sample.cast(), SAMPLE_LEN as u32) };
    }
    xdp_action::XDP_DROP
}

#[xdp]
fn redirect(ctx: XdpContext) -> u32 {
    if address(&ctx).is_none() {
        return xdp_action::XDP_PASS;
    }
    OUT.redirect(0, 0).unwrap_or(xdp_action::XDP_ABORTED)
}

#[xdp]
fn find(ctx: XdpContext) -> u32 {
    if find_flow(&ctx).is_none() || address(&ctx).is_none() {
        return xdp_action::XDP_PASS;
    }
    OUT.redirect(0, 0).unwrap_or(xdp_action::XDP_ABORTED)
}

/// Finds the packet's flow, or makes it, and notes that it was here.
#[inline(always)]
fn find_flow(ctx: &XdpContext) -> Option<()> {
    // SAFETY: in bounds, and no longer than the program runs.
    let head = unsafe { &*head::<42>(ctx)? };
    let key = [
        load64::<26, 42>(head),
        u64::from(load32::<34, 42>(head)) | u64::from(head[23]) << 32,
    ];
    if let Some(seen) = FLOWS.get_ptr_mut(key) {
        // SAFETY: an element of the map.
        unsafe { *seen.cast::<u64>() += 1 };
        return Some(());
    }
    FLOWS.insert(key, [0; _], 0).ok()
}

#[xdp]
fn transmit(ctx: XdpContext) -> u32 {
    address(&ctx).map_or(xdp_action::XDP_PASS, |()| xdp_action::XDP_TX)
}

#[inline(always)]
fn address(ctx: &XdpContext) -> Option<()> {
    let way = WAY.get(0)?;
    let frame = head::<14>(ctx)?;
    // SAFETY: in bounds.
    unsafe {
        if (*frame)[12] != 8 || (*frame)[13] != 0 {
            return None;
        }
        frame
            .cast::<[[u8; 6]; 2]>()
            .write([way.dst_mac, way.src_mac]);
    }
    Some(())
}

#[inline(always)]
fn head<const N: usize>(ctx: &XdpContext) -> Option<*mut [u8; N]> {
    let (start, end) = (ctx.data(), ctx.data_end());
    (start + N <= end).then_some(start as *mut [u8; N])
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
