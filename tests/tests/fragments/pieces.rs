//! Datagrams cut by hand: any identification, any size, any order.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity},
    unistd::Pid,
};
use snat_tests::netns::Netns;
use socket2::{Domain, Protocol, Socket, Type};

const MORE: u16 = 0x2000;

/// An IPv4 datagram to be cut.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
    pub(crate) protocol: u8,
    /// IP identification; not 0, which the kernel would replace.
    pub(crate) id: u16,
    /// Transport header and what it carries.
    pub(crate) data: Vec<u8>,
}

/// A fragment: an IPv4 packet.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    bytes: Vec<u8>,
    dst: Ipv4Addr,
}

impl Datagram {
    /// With a checksum over all of it.
    pub(crate) fn udp(src: SocketAddrV4, dst: SocketAddrV4, id: u16, payload: &[u8]) -> Self {
        let len = (8 + payload.len()) as u16;
        let mut data = [src.port(), dst.port(), len, 0]
            .map(u16::to_be_bytes)
            .concat();
        data.extend(payload);
        let pseudo = [
            &src.ip().octets()[..],
            &dst.ip().octets(),
            &[0, 17],
            &len.to_be_bytes(),
        ];
        let sum = checksum(&[&pseudo.concat()[..], &data].concat());
        data[6..8].copy_from_slice(&sum.to_be_bytes());
        Self {
            src: *src.ip(),
            dst: *dst.ip(),
            protocol: 17,
            id,
            data,
        }
    }

    /// All of its fragments, of `size` bytes each, in order.
    pub(crate) fn cut(&self, size: usize) -> Vec<Piece> {
        let pieces = self.data.chunks(size).enumerate();
        pieces
            .map(|(number, data)| {
                let at = number * size;
                self.piece(at, data, at + data.len() < self.data.len())
            })
            .collect()
    }

    /// A fragment that need not be one of it.
    pub(crate) fn piece(&self, at: usize, data: &[u8], more: bool) -> Piece {
        let word = (at / 8) as u16 | if more { MORE } else { 0 };
        let mut bytes = vec![0x45, 0, 0, 0];
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(word.to_be_bytes());
        bytes.extend([64, self.protocol, 0, 0]);
        bytes.extend(self.src.octets());
        bytes.extend(self.dst.octets());
        bytes.extend(data);
        Piece {
            bytes,
            dst: self.dst,
        }
    }
}

/// Sends fragments from a namespace, by its routes.
pub(crate) struct Sender(Socket);

impl Sender {
    pub(crate) fn open(netns: &Netns) -> Result<Self> {
        let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)));
        Ok(Self(netns.enter(|| open().context("raw socket"))?))
    }

    /// They arrive in this order: a veth keeps it among packets that one CPU sends, so all of them go from one.
    pub(crate) fn send<'a>(&self, pieces: impl IntoIterator<Item = &'a Piece>) -> Result<()> {
        let _pinned = Pinned::here()?;
        for piece in pieces {
            let to = SocketAddrV4::new(piece.dst, 0).into();
            self.0
                .send_to(&piece.bytes, &to)
                .context("sending a piece")?;
        }
        Ok(())
    }
}

/// The calling thread stays on one CPU until this is dropped.
struct Pinned {
    before: CpuSet,
}

impl Pinned {
    fn here() -> Result<Self> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).context("on which CPUs a thread may run")?;
        let mut one = CpuSet::new();
        one.set(sched_getcpu().context("on which CPU a thread runs")?)?;
        sched_setaffinity(this, &one).context("keeping a thread on one CPU")?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It has been so before.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}

/// Bytes that differ from place to place, and from one `seed` to another.
pub(crate) fn payload(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

/// RFC 1071.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(word(pair))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
