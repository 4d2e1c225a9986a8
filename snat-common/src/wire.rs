//! Words of packet bytes, each one load or store.
//!
//! Headers stand at odd places: behind 14 bytes of Ethernet no address is aligned. The kernels that run
//! this allow such access to packets, but LLVM for BPF does not know and would take every word apart into
//! bytes. So there the access is spelled out. Offsets are constants, checked against the window's
//! size when compiled.

/// A word in network order, as a number.
#[inline(always)]
#[must_use]
pub fn be16<const AT: usize, const N: usize>(window: &[u8; N]) -> u16 {
    u16::from_be(load16::<AT, N>(window))
}

/// A word as it is.
#[inline(always)]
#[must_use]
pub fn load16<const AT: usize, const N: usize>(window: &[u8; N]) -> u16 {
    const { assert!(AT + 2 <= N) };
    #[cfg(target_arch = "bpf")]
    {
        let word: u64;
        // SAFETY: reads two bytes of the window, and nothing else.
        unsafe {
            core::arch::asm!("{0} = *(u16 *)({1} + {2})", out(reg) word, in(reg) window, const AT,
                options(pure, readonly, nostack));
        }
        word as u16
    }
    #[cfg(not(target_arch = "bpf"))]
    u16::from_ne_bytes([window[AT], window[AT + 1]])
}

/// Two words as they are, in a register: what LLVM would make of a `u32` is cut to size once more.
#[inline(always)]
#[must_use]
pub fn wide32<const AT: usize, const N: usize>(window: &[u8; N]) -> u64 {
    const { assert!(AT + 4 <= N) };
    #[cfg(target_arch = "bpf")]
    {
        let word: u64;
        // SAFETY: reads four bytes of the window, and nothing else.
        unsafe {
            core::arch::asm!("{0} = *(u32 *)({1} + {2})", out(reg) word, in(reg) window, const AT,
                options(pure, readonly, nostack));
        }
        word
    }
    #[cfg(not(target_arch = "bpf"))]
    u64::from(load32::<AT, N>(window))
}

/// Two words as they are.
#[inline(always)]
#[must_use]
pub fn load32<const AT: usize, const N: usize>(window: &[u8; N]) -> u32 {
    const { assert!(AT + 4 <= N) };
    #[cfg(target_arch = "bpf")]
    {
        wide32::<AT, N>(window) as u32
    }
    #[cfg(not(target_arch = "bpf"))]
    u32::from_ne_bytes([window[AT], window[AT + 1], window[AT + 2], window[AT + 3]])
}

/// Four words as they are.
#[inline(always)]
#[must_use]
pub fn load64<const AT: usize, const N: usize>(window: &[u8; N]) -> u64 {
    const { assert!(AT + 8 <= N) };
    #[cfg(target_arch = "bpf")]
    {
        let word: u64;
        // SAFETY: reads eight bytes of the window, and nothing else.
        unsafe {
            core::arch::asm!("{0} = *(u64 *)({1} + {2})", out(reg) word, in(reg) window, const AT,
                options(pure, readonly, nostack));
        }
        word
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&window[AT..AT + 8]);
        u64::from_ne_bytes(bytes)
    }
}

/// Writes a word as it is.
#[inline(always)]
pub fn store16<const AT: usize, const N: usize>(window: &mut [u8; N], word: u16) {
    const { assert!(AT + 2 <= N) };
    #[cfg(target_arch = "bpf")]
    // SAFETY: writes two bytes of the window, and nothing else.
    unsafe {
        core::arch::asm!("*(u16 *)({0} + {2}) = {1}", in(reg) window, in(reg) u64::from(word), const AT,
            options(nostack));
    }
    #[cfg(not(target_arch = "bpf"))]
    window[AT..AT + 2].copy_from_slice(&word.to_ne_bytes());
}

/// Writes two words as they are.
#[inline(always)]
pub fn store32<const AT: usize, const N: usize>(window: &mut [u8; N], word: u32) {
    const { assert!(AT + 4 <= N) };
    #[cfg(target_arch = "bpf")]
    // SAFETY: writes four bytes of the window, and nothing else.
    unsafe {
        core::arch::asm!("*(u32 *)({0} + {2}) = {1}", in(reg) window, in(reg) u64::from(word), const AT,
            options(nostack));
    }
    #[cfg(not(target_arch = "bpf"))]
    window[AT..AT + 4].copy_from_slice(&word.to_ne_bytes());
}

/// The same number, at least 1 and at most `MAX`, as the verifier can see: it wants to know that a length is
/// in bounds in the very register that it is handed over in.
#[inline(always)]
#[must_use]
pub fn within<const MAX: u32>(number: u32) -> u32 {
    #[cfg(target_arch = "bpf")]
    {
        let mut bounded = u64::from(number);
        // SAFETY: comparisons and moves of one register.
        unsafe {
            core::arch::asm!(
                "if {0} <= {1} goto +1",
                "{0} = {1}",
                "if {0} >= 1 goto +1",
                "{0} = 1",
                inout(reg) bounded,
                const MAX,
                options(pure, nomem, nostack),
            );
        }
        bounded as u32
    }
    #[cfg(not(target_arch = "bpf"))]
    number.clamp(1, MAX)
}

/// The same address, computed once: the verifier knows the register that was compared to be in bounds, and
/// LLVM would rather compute the address again in another.
#[inline(always)]
#[must_use]
pub fn opaque(address: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let same;
        // SAFETY: a move between registers. (Without any instruction, the kernel refuses the line info.)
        unsafe {
            core::arch::asm!("{0} = {1}", lateout(reg) same, in(reg) address,
                options(pure, nomem, nostack));
        }
        same
    }
    #[cfg(not(target_arch = "bpf"))]
    address
}
