//! Which flows, and their packets.

use anyhow::Result;
use snat_common::load::{Load, Turn, WRITTEN};

use crate::stage::Port;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flows {
    /// Number of the first.
    pub(crate) first: u32,
    /// How many take turns.
    pub(crate) count: u32,
    /// So many of them are passed over in the first turn.
    pub(crate) skip: u32,
    /// How many client endpoints they have.
    pub(crate) endpoints: u32,
    /// Bytes of each frame, Ethernet header included.
    pub(crate) frame_len: usize,
    /// Turns of the generator without a packet after each with one; a turn is about 20 ns.
    pub(crate) pause: u32,
}

impl Flows {
    /// Those of the table: at most 16,384 endpoints, each with several servers where that is not enough.
    pub(crate) fn of(count: u32, frame_len: usize) -> Self {
        Self {
            first: 0,
            count,
            skip: 0,
            endpoints: count.min(16_384),
            frame_len,
            pause: 0,
        }
    }

    /// What the generator at `from` is told.
    pub(crate) fn load(&self, from: &Port<'_>) -> Result<Load> {
        let load = Load {
            first: self.first,
            flows: self.count,
            endpoints: self.endpoints,
            pause: self.pause,
            ip_len: u16::try_from(self.frame_len - 14)?,
            fragment: 0x4000,
            dst_mac: from.peer_mac,
            src_mac: from.mac,
            ..Load::default()
        };
        Ok(load.summed(&vec![0; self.frame_len - WRITTEN]))
    }

    /// How many packets a single turn has.
    pub(crate) fn left(&self) -> u32 {
        self.count - self.skip
    }

    /// Their frames from a port, made here.
    pub(crate) fn frames(&self, from: &Port<'_>) -> Result<Vec<Vec<u8>>> {
        let (load, mut turn) = (self.load(from)?, self.turn());
        let frames = (0..self.left()).map(|_| {
            let mut frame = vec![0; self.frame_len];
            frame[..WRITTEN].copy_from_slice(&load.frame(&turn));
            turn.pass(&load);
            frame
        });
        Ok(frames.collect())
    }

    /// Where the generator begins with them.
    pub(super) fn turn(&self) -> Turn {
        Turn {
            flow: self.skip,
            endpoint: self.skip % self.endpoints,
            server: self.skip / self.endpoints,
            ..Turn::default()
        }
    }
}
