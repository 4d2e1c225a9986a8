//! The smallest XDP program: every packet goes on to the stack.

use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use aya_obj::generated::{bpf_attach_type, bpf_prog_type};

use crate::bpf::{self, op};

const XDP_PASS: i32 = 2;
/// `XDP_FLAGS_DRV_MODE`.
const NATIVE: u32 = 1 << 2;

/// Attaches it to the interface with this index in the calling thread's namespace, for as long as
/// what is returned lives.
pub(crate) fn attach(ifindex: u32) -> Result<OwnedFd> {
    // r0 = XDP_PASS; exit
    let body = [op(0xb7, 0, 0, 0, XDP_PASS), op(0x95, 0, 0, 0, 0)];
    let program = bpf::load(bpf_prog_type::BPF_PROG_TYPE_XDP, &body, "pass")
        .context("loading an XDP program")?;
    bpf::link(&program, ifindex, bpf_attach_type::BPF_XDP, NATIVE)
        .context("attaching an XDP program")
}
