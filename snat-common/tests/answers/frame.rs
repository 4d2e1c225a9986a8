//! A frame as a socket buffer is one: it can grow and shrink, and its checksum may be left for later.

use snat_common::{Addr, Packet};

use crate::env::{CLIENT_MAC, GATEWAY_MAC};

/// Where a checksum is yet to be finished (`CHECKSUM_PARTIAL`), counted from the frame's end backwards by what
/// was before it: so the place moves with the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unfinished {
    start: usize,
    field: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    unfinished: Option<Unfinished>,
}

impl Packet for Frame {
    fn frame_len(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn window<const N: usize>(&self, offset: u32) -> Option<&[u8; N]> {
        self.bytes.get(offset as usize..)?.first_chunk()
    }

    fn window_mut<const N: usize>(&mut self, offset: u32) -> Option<&mut [u8; N]> {
        self.bytes.get_mut(offset as usize..)?.first_chunk_mut()
    }

    fn resize(&mut self, len: u32) -> bool {
        let len = len as usize;
        if let Some(Unfinished { field, .. }) = self.unfinished
            && len < field + 2
        {
            return false;
        }
        self.bytes.resize(len, 0);
        true
    }

    fn make_room(&mut self, len: u32) -> bool {
        self.bytes.splice(14..14, vec![0; len as usize]);
        if let Some(Unfinished { start, field }) = &mut self.unfinished {
            *start += len as usize;
            *field += len as usize;
        }
        true
    }
}

impl Frame {
    /// From the client's station, or a router there, to the gateway's.
    pub(crate) fn ip(src: Addr, dst: Addr, protocol: u8, options: &[u8], payload: &[u8]) -> Self {
        let mut bytes = [&GATEWAY_MAC[..], &CLIENT_MAC, &[8, 0]].concat();
        let header_len = 20 + options.len();
        bytes.extend([0x40 | (header_len / 4) as u8, 0x28]);
        bytes.extend(((header_len + payload.len()) as u16).to_be_bytes());
        bytes.extend([0x12, 0x34, 0x40, 0, 63, protocol, 0, 0]);
        bytes.extend(src);
        bytes.extend(dst);
        bytes.extend(options);
        let sum = !sum(&bytes[14..]);
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(payload);
        Self {
            bytes,
            unfinished: None,
        }
    }

    /// With ports 4000, the checksum right.
    pub(crate) fn udp(src: Addr, dst: Addr, options: &[u8], data: &[u8]) -> Self {
        let len = (8 + data.len()) as u16;
        let mut payload = vec![0x0f, 0xa0, 0x0f, 0xa0];
        payload.extend(len.to_be_bytes());
        payload.extend([0, 0]);
        payload.extend(data);
        let mut frame = Self::ip(src, dst, 17, options, &payload);
        frame.leave_checksum(6);
        frame.finished()
    }

    /// With ports 4000 and 80, the checksum right.
    pub(crate) fn tcp(options: &[u8], numbers: [u32; 2], flags: u8, tcp_options: &[u8]) -> Self {
        let mut payload = vec![0x0f, 0xa0, 0, 80];
        payload.extend(numbers[0].to_be_bytes());
        payload.extend(numbers[1].to_be_bytes());
        payload.extend([
            ((5 + tcp_options.len() / 4) << 4) as u8,
            flags,
            0xff,
            0,
            0,
            0,
            0,
            0,
        ]);
        payload.extend(tcp_options);
        let mut frame = Self::ip(crate::env::CLIENT, crate::env::SERVER, 6, options, &payload);
        frame.leave_checksum(16);
        frame.finished()
    }

    /// The same with data behind it.
    pub(crate) fn with_data(mut self, data: &[u8]) -> Self {
        let protocol = self.bytes[23];
        let options = self.bytes[34..self.transport()].to_vec();
        let mut payload = self.bytes[self.transport()..].to_vec();
        payload.extend(data);
        let (src, dst) = (self.addr(26), self.addr(30));
        let field = if protocol == 6 { 16 } else { 6 };
        payload[field..field + 2].fill(0);
        self = Self::ip(src, dst, protocol, &options, &payload);
        self.leave_checksum(field);
        self.finished()
    }

    /// The same as its sender's stack leaves it to hardware: where the checksum belongs, the pseudo header's sum.
    pub(crate) fn unfinished(mut self) -> Self {
        let field = if self.bytes[23] == 6 { 16 } else { 6 };
        self.leave_checksum(field);
        self
    }

    /// The same as it goes over a wire.
    pub(crate) fn finished(mut self) -> Self {
        if let Some(Unfinished { start, field }) = self.unfinished.take() {
            let sum = !sum(&self.bytes[start..]);
            self.bytes[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        }
        self
    }

    fn leave_checksum(&mut self, at: usize) {
        let start = self.transport();
        let pseudo = self.pseudo();
        self.bytes[start + at..start + at + 2].copy_from_slice(&pseudo.to_be_bytes());
        self.unfinished = Some(Unfinished {
            start,
            field: start + at,
        });
    }

    fn pseudo(&self) -> u16 {
        let len = (self.bytes.len() - self.transport()) as u16;
        let mut words = self.bytes[26..34].to_vec();
        words.extend([0, self.bytes[23]]);
        words.extend(len.to_be_bytes());
        sum(&words)
    }

    /// Where the transport header begins.
    pub(crate) fn transport(&self) -> usize {
        14 + usize::from(self.bytes[14] & 15) * 4
    }

    pub(crate) fn addr(&self, at: usize) -> Addr {
        self.bytes[at..at + 4].try_into().expect("four bytes")
    }

    pub(crate) fn be16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// Fails unless the lengths fit and both checksums are right.
    pub(crate) fn expect_sound(&self) {
        let len = self.bytes.len();
        assert_eq!(usize::from(self.be16(16)), len - 14, "IP length");
        assert_eq!(sum(&self.bytes[14..self.transport()]), 0xffff, "IP header");
        let transport = u32::from(sum(&self.bytes[self.transport()..]));
        let pseudo = if self.bytes[23] == 1 {
            0
        } else {
            u32::from(self.pseudo())
        };
        assert_eq!((transport + pseudo) % 0xffff, 0, "transport");
    }
}

/// RFC 1071.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = bytes
        .chunks(2)
        .map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |&low| u64::from(low)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
