//! The atomic operations the tables need, right on every target.
//!
//! For BPF they are assembly: LLVM's BPF back end has no `AtomicU64::fetch_add` of ours, and with CPU v3
//! a relaxed intrinsic whose result is used is compiled to one that does not return it.

/// Adds to a counter that other CPUs add to as well.
///
/// # Safety
/// `counter` is valid and 8-byte aligned, and every concurrent access to it is atomic.
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, value: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the caller's; `lock *(u64 *)` writes those 8 bytes and nothing else.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) value);
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's.
    unsafe {
        core::sync::atomic::AtomicU64::from_ptr(counter)
            .fetch_add(value, core::sync::atomic::Ordering::Relaxed);
    }
}

/// Adds, and returns what was there before.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub(crate) unsafe fn fetch_add(counter: *mut u64, value: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut register = value;
        // SAFETY: the caller's; the instruction leaves what it found in the register.
        unsafe {
            core::arch::asm!(
                "{1} = atomic_fetch_add((u64 *)({0} + 0), {1})",
                in(reg) counter,
                inout(reg) register,
            );
        }
        register
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's.
    unsafe {
        core::sync::atomic::AtomicU64::from_ptr(counter)
            .fetch_add(value, core::sync::atomic::Ordering::Relaxed)
    }
}

/// Sets bits of a word that other CPUs change as well.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub(crate) unsafe fn or(word: *mut u64, bits: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: as in `add`.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) |= {1}", in(reg) word, in(reg) bits);
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's.
    unsafe {
        core::sync::atomic::AtomicU64::from_ptr(word)
            .fetch_or(bits, core::sync::atomic::Ordering::Relaxed);
    }
}

/// Keeps only those bits of a word that other CPUs change as well.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub(crate) unsafe fn and(word: *mut u64, bits: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: as in `add`.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) &= {1}", in(reg) word, in(reg) bits);
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's.
    unsafe {
        core::sync::atomic::AtomicU64::from_ptr(word)
            .fetch_and(bits, core::sync::atomic::Ordering::Relaxed);
    }
}

/// Writes `new` where `old` is. True if it was.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub(crate) unsafe fn compare_exchange(word: *mut u64, old: u64, new: u64) -> bool {
    #[cfg(target_arch = "bpf")]
    {
        let found: u64;
        // SAFETY: the caller's; the instruction compares with r0, and leaves there what it found.
        unsafe {
            core::arch::asm!(
                "r0 = cmpxchg_64({0} + 0, r0, {1})",
                in(reg) word,
                in(reg) new,
                inlateout("r0") old => found,
            );
        }
        found == old
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        use core::sync::atomic::{AtomicU64, Ordering};
        // SAFETY: the caller's.
        unsafe { AtomicU64::from_ptr(word) }
            .compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}
