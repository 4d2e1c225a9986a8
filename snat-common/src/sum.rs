//! The Internet checksum's sum over bytes of a packet: for messages that are read or written whole.

use crate::{
    checksum::fold,
    env::{Env, Step},
    packet::Packet,
    wire::load32,
};

/// Most bytes that can be summed.
pub const MOST: u32 = TURNS * 4;
/// How often [`Env::repeat`] goes round at most.
const TURNS: u32 = 256;

/// Puts the folded sum of the bytes from `from` up to `to` in `sum`, an odd one out padded with zero (RFC 1071):
/// 0xffff for a message whose checksum is right.
///
/// False where the packet is shorter, or there are more than [`MOST`].
#[inline(never)]
pub fn sum<P: Packet, E: Env>(packet: &P, env: &E, from: u32, to: u32, sum: &mut u16) -> bool {
    let mut walk = Walk {
        packet,
        at: from,
        end: to,
        sum: 0,
    };
    env.repeat(TURNS, &mut walk);
    let Walk { at, sum: total, .. } = walk;
    // Words of 32 bits, few enough for 48.
    let halves = (total & 0xffff) + (total >> 16 & 0xffff) + (total >> 32 & 0xffff);
    *sum = fold(halves as u32);
    at == to
}

struct Walk<'a, P> {
    packet: &'a P,
    at: u32,
    end: u32,
    sum: u64,
}

impl<P: Packet> Step for Walk<'_, P> {
    #[inline(always)]
    fn turn(&mut self, _: u32) -> bool {
        let left = self.end.wrapping_sub(self.at);
        if left >= 4 {
            let Some(word) = self.packet.window::<4>(self.at) else {
                return true;
            };
            self.sum += u64::from(load32::<0, 4>(word));
            self.at += 4;
            return false;
        }
        let mut word = [0; 4];
        let mut i = 0;
        while i < 3 {
            if i < left {
                let Some(byte) = self.packet.window::<1>(self.at + i) else {
                    return true;
                };
                word[i as usize] = byte[0];
            }
            i += 1;
        }
        self.sum += u64::from(u32::from_ne_bytes(word));
        self.at = self.end;
        true
    }
}
