//! The smallest XDP program: every packet goes on to the stack. The only calls of bpf(2) in the lab.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type};

const LICENSE: &[u8] = b"Dual MIT/GPL\0";
/// `BPF_ALU64 | BPF_MOV | BPF_K` and `BPF_JMP | BPF_EXIT`.
const MOVE: u8 = 0xb7;
const EXIT: u8 = 0x95;
const XDP_PASS: i32 = 2;
/// `XDP_FLAGS_DRV_MODE`.
const NATIVE: u32 = 1 << 2;

/// Attaches it to the interface with this index in the calling thread's namespace, for as long as
/// what is returned lives.
pub(crate) fn attach(ifindex: u32) -> Result<OwnedFd> {
    let program = load().context("loading an XDP program")?;
    link(&program, ifindex).context("attaching an XDP program")
}

fn load() -> io::Result<OwnedFd> {
    let instruction = |code, imm| bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
        off: 0,
        imm,
    };
    let body = [instruction(MOVE, XDP_PASS), instruction(EXIT, 0)];
    // SAFETY: integers and pointers as integers; zero means "not used" to the kernel.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    attr.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_XDP as u32;
    attr.__bindgen_anon_3.insns = body.as_ptr() as u64;
    attr.__bindgen_anon_3.insn_cnt = body.len() as u32;
    attr.__bindgen_anon_3.license = LICENSE.as_ptr() as u64;
    // SAFETY: `body` and `LICENSE` outlive the call.
    unsafe { call(bpf_cmd::BPF_PROG_LOAD, &mut attr) }
}

fn link(program: &OwnedFd, ifindex: u32) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: as in `load`.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = bpf_attach_type::BPF_XDP as u32;
    attr.link_create.flags = NATIVE;
    // SAFETY: no pointers.
    unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

/// # Safety
/// Every pointer in `attr` is valid for what `command` reads, and `command` returns a descriptor.
unsafe fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let attr: *mut bpf_attr = attr;
    // SAFETY: the caller's.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            attr,
            size_of::<bpf_attr>(),
        )
    };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
