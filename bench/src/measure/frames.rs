//! Frames for programs that are run on them one by one.

use anyhow::{Result, ensure};
use etherparse::PacketBuilder;
use snat_common::load::{FIRST_PORT, SERVER_PORT, ends, replay::FRAME_LEN};

use crate::{
    replay::Frame,
    stage::{GATEWAY_INSIDE, GATEWAY_OUTSIDE, Stage},
};

/// MAC addresses: the gateway's and its neighbour's, inside and outside.
pub(crate) struct Ground {
    inside: Macs,
    outside: Macs,
}

#[derive(Clone, Copy)]
struct Macs {
    gateway: [u8; 6],
    neighbour: [u8; 6],
}

type Endpoint = ([u8; 4], u16);

const BYPASSED: Endpoint = ([198, 19, 0, 1], SERVER_PORT);
const STRANGER: Endpoint = ([198, 18, 0, 99], 53);
/// Of the gateway's ports one that no flow has: the frames here are those of some thousands.
const UNUSED: u16 = 65_535;

impl Ground {
    /// Of a stage.
    pub(crate) fn of(stage: &Stage) -> Result<Self> {
        let (lan, wan) = (stage.lan()?, stage.wan()?);
        Ok(Self {
            inside: Macs {
                gateway: lan.mac,
                neighbour: lan.peer_mac,
            },
            outside: Macs {
                gateway: wan.mac,
                neighbour: wan.peer_mac,
            },
        })
    }
}

/// The first packet of the client endpoint with this number, to the first server.
pub(crate) fn out(ground: &Ground, number: u32) -> Frame {
    let (client, port, server) = ends(number, 0);
    udp(ground.inside, (client, port), (server, SERVER_PORT))
}

/// The answer to a packet as it left the gateway.
pub(crate) fn answer(ground: &Ground, sent: &[u8]) -> Result<Frame> {
    ensure!(
        sent.len() == FRAME_LEN && sent[26..30] == GATEWAY_OUTSIDE,
        "that packet was not translated: {sent:02x?}"
    );
    let addr = |at: usize| [sent[at], sent[at + 1], sent[at + 2], sent[at + 3]];
    let port = |at: usize| u16::from_be_bytes([sent[at], sent[at + 1]]);
    let (server, external) = ((addr(30), port(36)), (addr(26), port(34)));
    Ok(udp(ground.outside, server, external))
}

/// To a destination that is bypassed.
pub(crate) fn bypassed(ground: &Ground) -> Frame {
    let (client, port, _) = ends(0, 0);
    udp(ground.inside, (client, port), BYPASSED)
}

/// To the gateway itself.
pub(crate) fn to_gateway(ground: &Ground) -> Frame {
    let (client, _, _) = ends(0, 0);
    udp(ground.inside, (client, FIRST_PORT), (GATEWAY_INSIDE, 53))
}

/// From outside to a port that nobody has.
pub(crate) fn unsolicited(ground: &Ground) -> Frame {
    udp(ground.outside, STRANGER, (GATEWAY_OUTSIDE, UNUSED))
}

/// An ARP request by its type, and nothing else of it.
pub(crate) fn not_ipv4(ground: &Ground) -> Frame {
    let mut frame = [0; FRAME_LEN];
    frame[..6].copy_from_slice(&ground.inside.gateway);
    frame[6..12].copy_from_slice(&ground.inside.neighbour);
    frame[12..14].copy_from_slice(&[0x08, 0x06]);
    frame
}

/// From the neighbour to the gateway.
fn udp(macs: Macs, (src, src_port): Endpoint, (dst, dst_port): Endpoint) -> Frame {
    const HEADERS: usize = 14 + 20 + 8;
    let mut frame = [0; FRAME_LEN];
    PacketBuilder::ethernet2(macs.neighbour, macs.gateway)
        .ipv4(src, dst, 64)
        .udp(src_port, dst_port)
        .write(&mut frame.as_mut_slice(), &[0; FRAME_LEN - HEADERS])
        .expect("a frame has room for its headers and what they leave");
    frame
}
