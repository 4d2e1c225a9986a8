//! Frames that single programs are run on, again and again: `snat-ebpf/src/replay.rs`.

/// Bytes of each: the smallest frame of an Ethernet, without its checksum at the end.
pub const FRAME_LEN: usize = 60;
/// How many there may be.
pub const MAX_FRAMES: u32 = 16_384;

/// Which is next: the element of map `REPLAY`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The next.
    pub next: u32,
    /// How many take turns.
    pub frames: u32,
}

impl Replay {
    /// The next frame's number; goes on to the one after it.
    #[inline(always)]
    pub fn turn(&mut self) -> u32 {
        let next = self.next;
        self.next = if next + 1 < self.frames { next + 1 } else { 0 };
        next
    }
}
