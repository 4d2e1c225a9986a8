//! What `cargo xtask bench` measures with: a generator, a sink, and the least that an XDP router can do.
//!
//! - `generate`, run on live frames: writes the next flow's headers and sends the frame out of the interface it is
//!   run for. Frames are used again, so all of the headers is written each time.
//! - `sink`: counts what arrives, keeps some of it, and drops it.
//! - `redirect`, `transmit`: write the Ethernet addresses and send the frame on, or back: the limit.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the attributes of the entry points hand the context over by value"
)]

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, DevMap, PerCpuArray},
    helpers::bpf_xdp_load_bytes,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use snat_common::load::{
    Load, SAMPLE_LEN, SAMPLE_SHIFT, SAMPLES as KEPT, Seen, Turn, WRITTEN, Way,
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

/// What `redirect` and `transmit` write.
#[btf_map]
static WAY: Array<Way, 1> = Array::new();

/// Where `redirect` sends.
#[btf_map]
static OUT: DevMap<1> = DevMap::new();

#[xdp]
fn generate(ctx: XdpContext) -> u32 {
    make(&ctx).map_or(xdp_action::XDP_ABORTED, |()| xdp_action::XDP_TX)
}

#[inline(always)]
fn make(ctx: &XdpContext) -> Option<()> {
    let load = LOAD.get(0)?;
    let turn = TURN.get_ptr_mut(0)?;
    let frame = head::<WRITTEN>(ctx)?;
    // SAFETY: this CPU's own element; the frame is in bounds.
    unsafe {
        *frame = load.frame(&*turn);
        (*turn).pass(load);
    }
    Some(())
}

#[xdp]
fn sink(ctx: XdpContext) -> u32 {
    let Some(seen) = SEEN.get_ptr_mut(0) else {
        return xdp_action::XDP_ABORTED;
    };
    let Some(frame) = head::<24>(&ctx) else {
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
