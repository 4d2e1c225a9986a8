//! TCP segments with everything in them that a NAT has to leave alone.

use std::net::SocketAddrV4;

use crate::raw::{Packet, checksum};

/// FIN.
pub const FIN: u8 = 0x01;
/// SYN.
pub const SYN: u8 = 0x02;
/// RST.
pub const RST: u8 = 0x04;
/// PSH.
pub const PSH: u8 = 0x08;
/// ACK.
pub const ACK: u8 = 0x10;
/// URG.
pub const URG: u8 = 0x20;

/// A segment to be.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it is from.
    pub src: SocketAddrV4,
    /// Where it goes.
    pub dst: SocketAddrV4,
    /// Flags, of which ECE and CWR are the highest two.
    pub flags: u8,
    /// The four bits before them.
    pub reserved: u8,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// Data.
    pub data: Vec<u8>,
}

impl Segment {
    /// Without options or data.
    #[must_use]
    pub const fn new(src: SocketAddrV4, dst: SocketAddrV4, flags: u8) -> Self {
        Self {
            src,
            dst,
            flags,
            reserved: 0,
            options: Vec::new(),
            data: Vec::new(),
        }
    }

    /// The packet, its checksum right.
    #[must_use]
    pub fn packet(&self) -> Packet {
        let offset = (5 + self.options.len() / 4) as u8;
        let mut bytes = [self.src.port().to_be_bytes(), self.dst.port().to_be_bytes()].concat();
        // Sequence and acknowledgement numbers; then window, checksum, urgent pointer.
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        bytes.extend([offset << 4 | self.reserved, self.flags]);
        bytes.extend([0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(&self.options);
        bytes.extend(&self.data);
        let mut sum = [self.src.ip().octets(), self.dst.ip().octets()].concat();
        sum.extend([0, 6]);
        sum.extend((bytes.len() as u16).to_be_bytes());
        sum.extend(&bytes);
        sum.resize(sum.len().next_multiple_of(2), 0);
        bytes[16..18].copy_from_slice(&checksum(&sum).to_be_bytes());
        Packet::new(*self.src.ip(), *self.dst.ip(), 6, bytes)
    }
}
