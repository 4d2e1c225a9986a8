//! bpf(2) where the library has no call for it: maps as bytes, and their batches.
//!
//! The only unsafe code of the datapath's user space. Every function takes slices and checks them against
//! the sizes the kernel reported for the map, so that no caller can make the kernel write out of bounds.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya_obj::generated::{bpf_attr, bpf_cmd};

/// What the kernel says of a map's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of a key.
    pub(super) key: usize,
    /// Bytes of a value as exchanged with the kernel: per-CPU maps have one per possible CPU.
    pub(super) value: usize,
}

/// Writes an element.
pub(super) fn update(
    map: BorrowedFd<'_>,
    layout: Layout,
    key: &[u8],
    value: &[u8],
) -> io::Result<()> {
    assert_eq!((key.len(), value.len()), (layout.key, layout.value));
    let mut attr = element(map, key);
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_ptr() as u64;
    // SAFETY: the kernel reads as many bytes as the map's sizes say, which were compared above.
    unsafe { call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// Reads an element; `None` where there is none.
pub(super) fn lookup(
    map: BorrowedFd<'_>,
    layout: Layout,
    key: &[u8],
    value: &mut [u8],
) -> io::Result<Option<()>> {
    assert_eq!((key.len(), value.len()), (layout.key, layout.value));
    let mut attr = element(map, key);
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_mut_ptr() as u64;
    // SAFETY: the kernel writes as many bytes as the map's value has, compared above.
    found(unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) })
}

/// Removes an element; `None` where there was none.
pub(super) fn delete(map: BorrowedFd<'_>, layout: Layout, key: &[u8]) -> io::Result<Option<()>> {
    assert_eq!(key.len(), layout.key);
    let mut attr = element(map, key);
    // SAFETY: the kernel reads a key, whose size was compared above.
    found(unsafe { call(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) })
}

/// The key behind `key`, or the first; `None` at the end.
pub(super) fn next_key(
    map: BorrowedFd<'_>,
    layout: Layout,
    key: Option<&[u8]>,
    next: &mut [u8],
) -> io::Result<Option<()>> {
    assert_eq!(next.len(), layout.key);
    assert!(key.is_none_or(|key| key.len() == layout.key));
    let mut attr = element(map, key.unwrap_or_default());
    // A null key asks for the first.
    attr.__bindgen_anon_2.key = key.map_or(0, |key| key.as_ptr() as u64);
    attr.__bindgen_anon_2.__bindgen_anon_1.next_key = next.as_mut_ptr() as u64;
    // SAFETY: the kernel reads a key and writes a key; sizes compared above.
    found(unsafe { call(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) })
}

/// Where a walk in batches stands: a bucket number for hash maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor(u32);

/// One batch of a hash map's elements into `keys` and `values`, sized for `room` elements. Returns how
/// many came, and where to go on unless that was the end.
///
/// A walk of a map that changes meanwhile sees each bucket once, whole: it ends, repeats nothing, and
/// misses only what comes into buckets already seen.
pub(super) fn lookup_batch(
    map: BorrowedFd<'_>,
    layout: Layout,
    from: Option<Cursor>,
    keys: &mut [u8],
    values: &mut [u8],
    room: u32,
) -> io::Result<(u32, Option<Cursor>)> {
    let elements = room as usize;
    assert_eq!(
        (keys.len(), values.len()),
        (elements * layout.key, elements * layout.value)
    );
    let mut next = Cursor::default();
    // SAFETY: plain integers; all zero is what the kernel wants for what is unused.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the union's side for batch commands.
    let batch = unsafe { &mut attr.batch };
    batch.map_fd = map.as_raw_fd() as u32;
    batch.in_batch = from.as_ref().map_or(0, |cursor| &raw const cursor.0 as u64);
    batch.out_batch = &raw mut next.0 as u64;
    batch.keys = keys.as_mut_ptr() as u64;
    batch.values = values.as_mut_ptr() as u64;
    batch.count = room;
    // SAFETY: the kernel writes at most `count` keys and values, and a 4-byte cursor.
    let result = unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) };
    // SAFETY: the side that was filled in.
    let count = unsafe { attr.batch.count };
    match result {
        Ok(_) => Ok((count, Some(next))),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok((count, None)),
        Err(error) => Err(error),
    }
}

fn element(map: BorrowedFd<'_>, key: &[u8]) -> bpf_attr {
    // SAFETY: plain integers; all zero is what the kernel wants for what is unused.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd() as u32;
    attr.__bindgen_anon_2.key = key.as_ptr() as u64;
    attr
}

fn found(result: io::Result<i64>) -> io::Result<Option<()>> {
    match result {
        Ok(_) => Ok(Some(())),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// # Safety
/// Every pointer in `attr` is valid for what `command` reads and writes.
unsafe fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i64> {
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
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
