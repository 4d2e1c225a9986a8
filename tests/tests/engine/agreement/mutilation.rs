//! Frames with something wrong in them.

use fastrand::Rng;

use crate::scene::repair_header;

/// The frame after one to three accidents; half of the time its header checksum says that all is well.
pub(super) fn mutilated(random: &mut Rng, mut frame: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.u8(1..4) {
        let len = frame.len();
        match random.u8(0..9) {
            // Any bit.
            0 => frame[random.usize(0..len)] ^= 1 << random.u8(0..8),
            // A bit of the headers.
            1 => frame[random.usize(0..len.min(54))] ^= 1 << random.u8(0..8),
            2 => frame.truncate(random.usize(14..=len)),
            3 => frame.extend((0..random.usize(1..60)).map(|at| at as u8)),
            // The header's length, the packet's, fragments, the protocol.
            4 => set(&mut frame, 14, 0x40 | random.u8(0..16)),
            5 => set(&mut frame, 16, random.u8(0..3)),
            6 => set(&mut frame, 17, random.u8(..)),
            7 => set(&mut frame, 20, random.u8(..)),
            _ => set(
                &mut frame,
                23,
                [1, 6, 17, random.u8(..)][random.usize(0..4)],
            ),
        }
    }
    if random.bool() {
        repair_header(&mut frame);
    }
    frame
}

/// Sets a byte, if the frame has it.
pub(super) fn set(frame: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte = value;
    }
}
