//! Packets that no socket would send, and the ICMP errors they bring.

use std::{
    io::Read as _,
    mem::MaybeUninit,
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{netns::Netns, sender::Sender};

/// An IPv4 packet to be; the kernel adds identification, length and header checksum.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Source, any at all.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// IANA protocol number.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Flags and fragment offset as on the wire.
    pub fragment: u16,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// Flag of [`Packet::fragment`]: don't fragment.
pub const DONT_FRAGMENT: u16 = 0x4000;
/// Flag of [`Packet::fragment`]: more fragments follow.
pub const MORE_FRAGMENTS: u16 = 0x2000;

impl Packet {
    /// Of any protocol.
    #[must_use]
    pub fn new(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            src,
            dst,
            protocol,
            ttl: 64,
            fragment: 0,
            options: Vec::new(),
            payload,
        }
    }

    /// A UDP datagram of `len` payload bytes, with the checksum that says there is none.
    #[must_use]
    pub fn udp(src: SocketAddrV4, dst: SocketAddrV4, len: usize) -> Self {
        let mut payload = ports(src, dst);
        payload.extend((8 + len as u16).to_be_bytes());
        payload.resize(8 + len, 0);
        Self::new(*src.ip(), *dst.ip(), 17, payload)
    }

    /// A TCP segment with these flags and no data.
    #[must_use]
    pub fn tcp(src: SocketAddrV4, dst: SocketAddrV4, flags: u8) -> Self {
        let mut payload = ports(src, dst);
        // Sequence and acknowledgement numbers, data offset, flags, window, checksum, urgent pointer.
        payload.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let mut pseudo = [src.ip().octets(), dst.ip().octets()].concat();
        pseudo.extend([0, 6, 0, payload.len() as u8]);
        pseudo.extend(&payload);
        payload[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());
        Self::new(*src.ip(), *dst.ip(), 6, payload)
    }

    /// An ICMP message: type, code, and what follows the checksum.
    #[must_use]
    pub fn icmp(src: Ipv4Addr, dst: Ipv4Addr, kind: u8, code: u8, rest: &[u8]) -> Self {
        let mut payload = [&[kind, code, 0, 0], rest].concat();
        let sum = checksum(&payload);
        payload[2..4].copy_from_slice(&sum.to_be_bytes());
        Self::new(src, dst, 1, payload)
    }

    /// Sends it from the namespace, by its routes.
    pub fn send(&self, netns: &Netns) -> Result<()> {
        Sender::open(netns)?
            .send(self)
            .with_context(|| format!("in {}", netns.name()))
    }

    /// As it is on a wire: length and header checksum are right, the identification is 0.
    pub fn on_wire(&self) -> Result<Vec<u8>> {
        let mut bytes = self.bytes()?;
        let total = u16::try_from(bytes.len()).context("larger than a packet can be")?;
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        let sum = checksum(&bytes[..20 + self.options.len()]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        Ok(bytes)
    }

    /// As the kernel takes it.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        ensure!(
            self.options.len().is_multiple_of(4),
            "options of odd length"
        );
        let words = 5 + self.options.len() / 4;
        let mut bytes = vec![0x40 | words as u8, 0, 0, 0, 0, 0];
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([self.ttl, self.protocol, 0, 0]);
        bytes.extend(self.src.octets());
        bytes.extend(self.dst.octets());
        bytes.extend(&self.options);
        bytes.extend(&self.payload);
        Ok(bytes)
    }
}

/// ICMP messages that reach a namespace from now on.
pub struct IcmpInbox(Socket);

/// An ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Who sent it.
    pub from: Ipv4Addr,
    /// Type and code.
    pub kind: (u8, u8),
    /// The next hop's MTU, where the kind has one.
    pub mtu: u16,
    /// Source of the packet it is about.
    pub about_src: Ipv4Addr,
    /// Its destination.
    pub about_dst: Ipv4Addr,
}

/// [`IcmpError::kind`]: time exceeded in transit.
pub const TIME_EXCEEDED: (u8, u8) = (11, 0);
/// [`IcmpError::kind`]: network unreachable.
pub const NETWORK_UNREACHABLE: (u8, u8) = (3, 0);
/// ICMP type and code: nobody listens on the port.
pub const PORT_UNREACHABLE: (u8, u8) = (3, 3);
/// [`IcmpError::kind`]: fragmentation needed and DF set.
pub const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);

impl IcmpInbox {
    /// Opens it.
    pub fn open(netns: &Netns) -> Result<Self> {
        let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4));
        let socket = netns.enter(|| open().context("raw ICMP socket"))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self(socket))
    }

    /// Waits for the next error of this kind.
    pub fn next(&mut self, kind: (u8, u8), deadline: Duration) -> Result<IcmpError> {
        let end = Instant::now() + deadline;
        let mut others = Vec::new();
        while Instant::now() < end {
            let mut buffer = [0; 2048];
            let Ok(len) = self.0.read(&mut buffer) else {
                continue;
            };
            match parse(&buffer[..len]) {
                Some(error) if error.kind == kind => return Ok(error),
                other => others.extend(other),
            }
        }
        bail!("no ICMP error {kind:?} within {deadline:?}, but {others:?}")
    }

    /// Forgets what has come so far.
    pub fn clear(&mut self) -> Result<()> {
        self.0.set_nonblocking(true)?;
        while self.0.recv(&mut [MaybeUninit::uninit(); 1]).is_ok() {}
        Ok(self.0.set_nonblocking(false)?)
    }
}

/// What a raw socket receives: the IP header is before it.
fn parse(packet: &[u8]) -> Option<IcmpError> {
    let address = |bytes: &[u8]| -> Option<Ipv4Addr> {
        Some(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?.into())
    };
    let message = packet.get(usize::from(packet.first()? & 15) * 4..)?;
    let inner = message.get(8..)?;
    let kind = (message[0], message[1]);
    if !matches!(kind.0, 3 | 11) {
        return None;
    }
    Some(IcmpError {
        from: address(packet.get(12..)?)?,
        kind,
        mtu: u16::from_be_bytes([message[6], message[7]]),
        about_src: address(inner.get(12..)?)?,
        about_dst: address(inner.get(16..)?)?,
    })
}

fn ports(src: SocketAddrV4, dst: SocketAddrV4) -> Vec<u8> {
    [src.port().to_be_bytes(), dst.port().to_be_bytes()].concat()
}

/// RFC 1071, of an even number of bytes.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks_exact(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) as u16 + (sum >> 16) as u16)
}
