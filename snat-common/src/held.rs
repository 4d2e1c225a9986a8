//! The word that says who needs an element, and since when nobody does.

use core::{marker::PhantomData, ptr::NonNull};

use crate::{atomic, clock::age};

/// A word that counts holders: their number, and above it when the last one let go, in ticks.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    word: NonNull<u64>,
    table: PhantomData<&'a ()>,
}

/// The number of holders of an element that is being removed.
pub(crate) const DEAD: u32 = u32::MAX;
/// Lost races after which a packet is given up.
const RETRIES: u32 = 8;

impl Held<'_> {
    /// Wraps the word of an element.
    ///
    /// # Safety
    /// `word` is 8-byte aligned and stays readable and writable for `'a`; every access to it is atomic.
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(word: NonNull<u64>) -> Self {
        Self {
            word,
            table: PhantomData,
        }
    }

    /// The word of an element with that many holders.
    #[inline(always)]
    #[must_use]
    pub const fn by(holders: u32, now: u32) -> u64 {
        (now as u64) << 32 | holders as u64
    }

    /// How many holders a word says.
    #[inline(always)]
    #[must_use]
    pub const fn holders(word: u64) -> u32 {
        word as u32
    }

    /// The word as it is.
    #[inline(always)]
    #[must_use]
    pub fn read(&self) -> u64 {
        // SAFETY: as `new` was told.
        unsafe { self.word.as_ptr().read_volatile() }
    }

    /// One holder more. False if the element is being removed.
    #[inline(always)]
    #[must_use]
    pub fn acquire(&self) -> bool {
        self.join().is_some()
    }

    /// As [`Held::acquire`], with how many there were before: of several that come at once, one is the first.
    #[inline(always)]
    #[must_use]
    pub fn join(&self) -> Option<u32> {
        self.change(|word| (Self::holders(word) < DEAD - 1).then_some(word + 1))
            .map(Self::holders)
    }

    /// One holder less, and how many are left: of several that go at once, one is the last.
    #[inline(always)]
    pub fn release(&self, now: u32) -> Option<u32> {
        let holders = Self::holders(self.read());
        if holders == 0 || holders == DEAD {
            return None;
        }
        // One addition, that nobody can be in the way of: what is not given back would be held for ever.
        // SAFETY: as `new` was told. The lower half is above 0, for the caller holds the element.
        let before = unsafe { atomic::fetch_add(self.word.as_ptr(), u64::MAX) };
        let left = Self::holders(before).wrapping_sub(1);
        if left == 0 {
            let (old, new) = (before.wrapping_sub(1), Self::by(0, now));
            // Where that fails somebody holds it again, and says when that ends.
            // SAFETY: as `new` was told.
            let _ = unsafe { atomic::compare_exchange(self.word.as_ptr(), old, new) };
        }
        Some(left)
    }

    /// Takes back a [`Held::retire`]: the element could not be removed.
    #[inline(always)]
    pub fn spare(&self, now: u32) {
        // SAFETY: as `new` was told; nobody else changes the word of an element that is being removed.
        unsafe { self.word.as_ptr().write_volatile(Self::by(0, now)) }
    }

    /// Claims an element for removal that nobody has held for longer than `rest` ticks, or that has
    /// `holders` and they are the caller. True for the one who may remove it.
    #[inline(always)]
    #[must_use]
    pub fn retire(&self, holders: u32, now: u32, rest: u32) -> bool {
        self.change(|word| {
            let rested = holders != 0 || age(now, (word >> 32) as u32) > rest;
            (Self::holders(word) == holders && rested).then_some(Self::by(DEAD, now))
        })
        .is_some()
    }

    /// The word that was replaced.
    #[inline(always)]
    fn change(&self, next: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let mut tries = 0;
        while tries < RETRIES {
            tries += 1;
            let old = self.read();
            let new = next(old)?;
            // SAFETY: as `new` was told.
            if unsafe { atomic::compare_exchange(self.word.as_ptr(), old, new) } {
                return Some(old);
            }
        }
        None
    }
}
