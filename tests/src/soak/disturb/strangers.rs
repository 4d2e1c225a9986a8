//! Packets from outside that nobody asked for: they must neither get in nor be in the way.

use std::net::SocketAddrV4;

use anyhow::Result;

use super::World;
use crate::{
    raw::Packet,
    segment::{ACK, RST, SYN},
    sender::Sender,
    soak::ground::EXTERNALS,
};

const PACKETS: usize = 300;

pub(super) fn knock(world: &mut World<'_>) -> Result<()> {
    let sender = Sender::open(&world.topology.server.netns)?;
    let rng = &mut world.rng;
    for _ in 0..PACKETS {
        // Of no port that the load's servers have: a forged segment of theirs would be one of a flow.
        let from = SocketAddrV4::new(world.topology.server.addr, rng.u16(6000..));
        let to = SocketAddrV4::new(EXTERNALS[rng.usize(..2)].into(), rng.u16(1024..));
        let packet = match rng.u8(..4) {
            0 => Packet::udp(from, to, rng.usize(..200)),
            1 => Packet::tcp(from, to, SYN),
            2 => Packet::tcp(from, to, ACK),
            _ => Packet::tcp(from, to, RST),
        };
        sender.send(&packet)?;
    }
    Ok(())
}
