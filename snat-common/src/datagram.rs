//! What is remembered of a datagram in fragments: only its first fragment has ports.

use core::{marker::PhantomData, ptr::NonNull};

use crate::{atomic, env::Step, flow::Addr, parse::Parsed, settings::MAX_HELD_FRAME, wire::opaque};

/// Key of the maps `FRAGMENTS` and `UNTRANSLATED`: what all fragments of a datagram have in common (RFC 791).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatagramKey {
    /// Source address on arrival.
    pub src: Addr,
    /// Destination address on arrival.
    pub dst: Addr,
    /// IP identification on arrival.
    pub id: u16,
    /// IP protocol as on the wire.
    pub ip_protocol: u8,
    /// Always zero.
    pub zero: u8,
}

impl DatagramKey {
    /// Of a fragment's datagram.
    #[inline(always)]
    #[must_use]
    pub fn of(parsed: &Parsed) -> Self {
        Self {
            src: parsed.key.src,
            dst: parsed.key.dst,
            id: parsed.piece.id,
            ip_protocol: parsed.ip_protocol,
            zero: 0,
        }
    }
}

/// What a datagram's first fragment says for those that follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramHead {
    /// When the first fragment came, in ticks.
    pub begun: u32,
    /// Blocks of eight bytes in the whole datagram; 0 until its last fragment has come.
    pub total: u32,
    /// How many of those have come.
    pub seen: u64,
    /// Source port on arrival, as in [`crate::FlowKey`].
    pub src_port: u16,
    /// Destination port on arrival, likewise.
    pub dst_port: u16,
    /// IP identification that all its fragments leave with.
    pub new_id: u16,
    /// Always zero.
    pub zero: u16,
}

/// Value of map `FRAGMENTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// What the first fragment said.
    pub head: DatagramHead,
    /// Which blocks of eight bytes have come: bit `b % 64` of word `b / 64`.
    pub blocks: [u64; WORDS as usize],
}

/// Value of map `UNTRANSLATED`: a datagram whose first fragment was not translated.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untranslated {
    /// When that was, in ticks.
    pub since: u32,
    /// 1 if it was passed to the host's stack, 0 if it was dropped.
    pub passed: u32,
}

/// Key of map `HELD`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeldKey {
    /// Whose first fragment is missing.
    pub datagram: DatagramKey,
    /// A number among its held fragments, from 0.
    pub number: u32,
}

/// Value of map `HELD`, and a frame that is put aside for a moment.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Frame {
    /// When it came, in ticks.
    pub since: u32,
    /// How many bytes of it there are.
    pub len: u32,
    /// The interface it came in by.
    pub ifindex: u32,
    /// The frame, Ethernet header first.
    pub bytes: [u8; MAX_HELD_FRAME as usize],
}

/// Words of a set of blocks: 65,536 bytes in blocks of eight.
const WORDS: u32 = 128;

/// A pointer to an element of map `FRAGMENTS`.
#[derive(Clone, Copy)]
pub struct DatagramRef<'a> {
    datagram: NonNull<Datagram>,
    table: PhantomData<&'a ()>,
}

impl DatagramRef<'_> {
    /// Wraps a pointer to an element.
    ///
    /// # Safety
    /// `datagram` is 8-byte aligned and stays readable and writable for `'a`. Nobody holds a Rust reference
    /// to it.
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(datagram: NonNull<Datagram>) -> Self {
        Self {
            datagram,
            table: PhantomData,
        }
    }

    /// What it says now.
    #[inline(always)]
    #[must_use]
    pub fn head(&self) -> DatagramHead {
        // SAFETY: plain numbers inside the element; each that changes is one aligned word.
        unsafe { (&raw const (*self.datagram.as_ptr()).head).read_volatile() }
    }

    /// Notes the blocks from `first` to before `end`. False where one of them has come already, or lies behind
    /// the end of the datagram.
    ///
    /// `repeat` is [`crate::Env::repeat`]. Of two overlapping fragments that come at the very same moment both may be let in.
    #[inline(always)]
    #[must_use]
    pub fn take(
        &self,
        repeat: impl Fn(u32, &mut Blocks<'_>),
        first: u32,
        end: u32,
        is_last: bool,
    ) -> bool {
        let total = self.head().total;
        if total != 0 && (end > total || is_last) {
            return false;
        }
        let mut blocks = Blocks {
            datagram: *self,
            first,
            end,
            mark: false,
            taken: false,
        };
        repeat(WORDS, &mut blocks);
        if blocks.taken {
            return false;
        }
        blocks.mark = true;
        repeat(WORDS, &mut blocks);
        let head = self.datagram.as_ptr().cast::<DatagramHead>();
        // SAFETY: aligned fields of the element; all that several write is written atomically.
        unsafe {
            atomic::add(&raw mut (*head).seen, u64::from(end - first));
            if is_last {
                (&raw mut (*head).total).write_volatile(end);
            }
        }
        true
    }

    #[inline(always)]
    fn word(&self, index: u32) -> *mut u64 {
        // The verifier wants to see that the index is in bounds from here.
        let index = opaque(index as usize) & (WORDS as usize - 1);
        // SAFETY: inside the array, whose length is a power of two.
        unsafe {
            (&raw mut (*self.datagram.as_ptr()).blocks)
                .cast::<u64>()
                .add(index)
        }
    }
}

/// A walk over the words that have blocks of a range.
pub struct Blocks<'a> {
    datagram: DatagramRef<'a>,
    first: u32,
    end: u32,
    /// Whether to note the blocks, or to look for one that is noted.
    mark: bool,
    taken: bool,
}

impl Step for Blocks<'_> {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        let index = self.first / 64 + index;
        let start = index * 64;
        if start >= self.end {
            return true;
        }
        let mut mask = u64::MAX;
        if self.first > start {
            mask <<= self.first - start;
        }
        if self.end - start < 64 {
            mask &= (1 << (self.end - start)) - 1;
        }
        let word = self.datagram.word(index);
        // SAFETY: a word of the element; all writes are atomic.
        unsafe {
            if self.mark {
                atomic::or(word, mask);
            } else if word.read_volatile() & mask != 0 {
                self.taken = true;
                return true;
            }
        }
        false
    }
}

const _: () = assert!(size_of::<DatagramKey>() == 12 && size_of::<DatagramHead>() == 24);
