//! The lab's own BPF programs, a few instructions each. The only calls of bpf(2) in the lab.

use std::{
    collections::BTreeSet,
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_map_type, bpf_prog_type,
};

const LICENSE: &[u8] = b"Dual MIT/GPL\0";

/// An instruction: operation, registers, offset, immediate.
pub(crate) fn op(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(dst, src),
        off,
        imm,
    }
}

/// Loads a program under a name of at most 15 ASCII letters.
pub(crate) fn load(kind: bpf_prog_type, body: &[bpf_insn], name: &str) -> io::Result<OwnedFd> {
    let mut attr = unused();
    // SAFETY: the union's side for this command.
    let program = unsafe { &mut attr.__bindgen_anon_3 };
    program.prog_type = kind as u32;
    program.insns = body.as_ptr() as u64;
    program.insn_cnt = body.len() as u32;
    program.license = LICENSE.as_ptr() as u64;
    for (to, from) in program.prog_name.iter_mut().take(15).zip(name.bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: `body` and `LICENSE` outlive the call.
    unsafe { open(bpf_cmd::BPF_PROG_LOAD, &mut attr) }
}

/// Attaches a program to an interface of the calling thread's namespace while the result lives.
pub(crate) fn link(
    program: &OwnedFd,
    ifindex: u32,
    hook: bpf_attach_type,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = unused();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = hook as u32;
    attr.link_create.flags = flags;
    // SAFETY: no pointers.
    unsafe { open(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

/// Pins a program in bpffs.
pub(crate) fn pin(program: &OwnedFd, path: &CStr) -> io::Result<()> {
    let mut attr = unused();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = program.as_raw_fd().cast_unsigned();
    // SAFETY: `path` ends in a NUL and outlives the call.
    unsafe { call(bpf_cmd::BPF_OBJ_PIN, &mut attr) }.map(drop)
}

/// A map that is an array of one `u64`.
pub(crate) struct Number(OwnedFd);

impl Number {
    /// Makes one; it is 0.
    pub(crate) fn new() -> io::Result<Self> {
        let mut attr = unused();
        attr.__bindgen_anon_1.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
        attr.__bindgen_anon_1.key_size = 4;
        attr.__bindgen_anon_1.value_size = 8;
        attr.__bindgen_anon_1.max_entries = 1;
        // SAFETY: no pointers.
        unsafe { open(bpf_cmd::BPF_MAP_CREATE, &mut attr) }.map(Self)
    }

    /// The descriptor, as programs name it.
    pub(crate) fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Its value now.
    pub(crate) fn read(&self) -> io::Result<u64> {
        let (key, mut value) = (0_u32, 0_u64);
        let mut attr = unused();
        attr.__bindgen_anon_2.map_fd = self.fd().cast_unsigned();
        attr.__bindgen_anon_2.key = &raw const key as u64;
        attr.__bindgen_anon_2.__bindgen_anon_1.value = &raw mut value as u64;
        // SAFETY: key and value have the map's sizes and outlive the call.
        unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) }?;
        Ok(value)
    }
}

/// The ids of all programs, maps or links of the kernel, as the `GET_NEXT_ID` command says.
///
/// None is opened for that: a program array that is opened and closed in the moment when it is let go is never
/// freed (`prog_array_map_clear()` takes a reference for work that may be queued already).
pub(crate) fn ids(command: bpf_cmd) -> io::Result<BTreeSet<u64>> {
    let mut ids = BTreeSet::new();
    let mut attr = unused();
    loop {
        // SAFETY: no pointers.
        match unsafe { call(command, &mut attr) } {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(ids),
            result => result?,
        };
        // SAFETY: the kernel has written it.
        let next = unsafe { attr.__bindgen_anon_6.next_id };
        ids.insert(u64::from(next));
        attr.__bindgen_anon_6.__bindgen_anon_1.start_id = next;
    }
}

fn unused() -> bpf_attr {
    // SAFETY: integers and pointers as integers; zero means "not used" to the kernel.
    unsafe { std::mem::zeroed() }
}

/// # Safety
/// As for [`call`], and `command` returns a descriptor.
unsafe fn open(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller's.
    let fd = unsafe { call(command, attr) }?;
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// Every pointer in `attr` is valid for what `command` reads and writes.
unsafe fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    let attr: *mut bpf_attr = attr;
    // SAFETY: the caller's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            attr,
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
