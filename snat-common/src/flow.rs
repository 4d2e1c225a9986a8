//! The flow table's key and value: what `bpftool map dump` shows and `snat-ctl flows` reads.
//!
//! A flow is two entries of one hash map, one per direction, each keyed by the tuple as a packet of
//! that direction carries it on arrival. Addresses are bytes in network order, ports are numbers in
//! host order, so that a dump reads like the documents. An ICMP echo flow has the identifier where
//! the client's port would be, and 0 for the server's.

/// IPv4 address, network order.
pub type Addr = [u8; 4];

/// The transport protocols that can be translated, by their IANA numbers.
///
/// Behind [`Protocol::UdpLite`] only the address is: their flows keep the client's ports (SCTP) or have
/// none, and one client owns the way to a server.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// ICMP echo.
    Icmp = 1,
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// UDP-Lite: as UDP, with a checksum that covers a part and is never absent.
    UdpLite = 136,
    /// SCTP: address only, so that its CRC32c stays right.
    Sctp = 132,
    /// GRE: address only.
    Gre = 47,
    /// IPsec ESP: address only.
    Esp = 50,
    /// Any other protocol: address only. Its number is [`FlowKey::number`].
    Other = 255,
}

impl Protocol {
    /// Whether the external port is ours to choose; else only the address changes.
    #[inline(always)]
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Icmp | Self::Tcp | Self::Udp | Self::UdpLite)
    }
}

/// Which way an entry's packets travel.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client: the source is rewritten.
    Out = 0,
    /// To the client: the destination is rewritten.
    In = 1,
}

/// Where a flow stands; the index of its idle timeout in [`crate::Settings`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// ICMP echo.
    IcmpEcho = 0,
    /// UDP.
    Udp = 1,
    /// TCP: a SYN came from inside, nothing from outside yet.
    TcpSynSent = 2,
    /// TCP: both sides have spoken.
    TcpEstablished = 3,
    /// TCP: the client has sent FIN.
    TcpFinOut = 4,
    /// TCP: the server has sent FIN.
    TcpFinIn = 5,
    /// TCP: both have sent FIN.
    TcpClosing = 6,
    /// TCP: either side has sent RST.
    TcpReset = 7,
    /// TCP: a SYN came from outside and was let in, nothing from inside yet.
    TcpSynReceived = 8,
    /// SCTP, GRE, ESP and the like, of which nothing but packets is known.
    Other = 9,
    /// The configuration allows it no longer: its packets are refused, and whoever sends one is told.
    Ended = 10,
    /// Claimed for removal: no packet may use it any more.
    Dead = 15,
}

/// How many states have a timeout of their own.
pub const TIMED_STATES: usize = 10;

/// A packet's addresses and ports on arrival.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port (ICMP echo: the client's identifier on the way out, 0 on the way in).
    pub src_port: u16,
    /// Destination port (ICMP echo: 0 on the way out, the external identifier on the way in).
    pub dst_port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// IP protocol number of [`Protocol::Other`]; 0 for the rest.
    pub number: u8,
    /// Always zero: hash maps compare every byte.
    pub zero: [u8; 2],
}

const _: () = {
    assert!(core::mem::offset_of!(FlowKey, dst) == 4);
    assert!(core::mem::offset_of!(FlowKey, src_port) == 8);
    assert!(core::mem::offset_of!(FlowKey, dst_port) == 10);
    assert!(core::mem::offset_of!(FlowKey, protocol) == 12);
};

impl FlowKey {
    /// Makes it that of words as they stand in a packet: both addresses, and both ports.
    ///
    /// Written in words: a hash reads it so, and a word that was just written in bytes makes a CPU wait.
    #[inline(always)]
    pub fn set(&mut self, addrs: u64, ports: u32, protocol: Protocol) {
        let ports = u64::from(u32::from_be(ports).rotate_left(16));
        let words = (&raw mut *self).cast::<u64>();
        // SAFETY: sixteen aligned bytes as asserted above, of which only the protocol's is of a type with invalid
        // values.
        unsafe {
            words.write_volatile(addrs);
            words.add(1).write_volatile(ports | (protocol as u64) << 32);
        }
    }

    /// As two words, as they stand in memory.
    #[inline(always)]
    #[must_use]
    pub fn words(&self) -> [u64; 2] {
        // SAFETY: sixteen aligned bytes without padding.
        unsafe { (&raw const *self).cast::<[u64; 2]>().read() }
    }

    /// What was written as such words; `None` of a place where nothing was.
    #[inline(always)]
    #[must_use]
    pub fn of_words(words: [u64; 2]) -> Option<Self> {
        if (words[1] >> 32) as u8 == 0 {
            return None;
        }
        // SAFETY: as in `words`; the protocol, the one field with invalid values, is one that `words` gave.
        Some(unsafe { (&raw const words).cast::<Self>().read() })
    }

    /// Of no flow.
    pub const NONE: Self = Self {
        src: [0; 4],
        dst: [0; 4],
        src_port: 0,
        dst_port: 0,
        protocol: Protocol::Other,
        number: 0,
        zero: [0; 2],
    };
}

/// What a direction's packets need, and what they have left behind.
///
/// 48 bytes: with the 16-byte key and the kernel's hash element, both directions fit 256 bytes.
/// `last_seen` to `port_delta` are one aligned 8-byte word, so that life and death are decided by a single
/// compare-and-exchange ([`crate::FlowRef`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowEntry {
    /// Out: the external address that becomes the source. In: the client that becomes the destination.
    pub addr: Addr,
    /// The port (or echo identifier) that goes with `addr`.
    pub port: u16,
    /// One's-complement difference the address makes to a checksum.
    pub addr_delta: u16,
    /// When a packet of this direction last passed, in ticks of 2^24 ns of the monotonic clock.
    pub last_seen: u32,
    /// Where the flow stands; the entry of direction `In` has the last word.
    pub state: State,
    /// Which way this entry's packets travel.
    pub direction: Direction,
    /// One's-complement difference the port makes to a checksum.
    pub port_delta: u16,
    /// Largest IP packet the cached route takes.
    pub mtu: u16,
    /// Generation of the cached next hop; stale if not the current one.
    pub generation: u16,
    /// When the flow was opened, in the same ticks.
    pub created: u32,
    /// Next hop's link-layer address.
    pub next_hop: [u8; 6],
    /// Interface of the cached route: index in the `INTERFACES` map.
    pub egress: u8,
    /// What the flow holds and gives back when it is removed: a set of [`crate::hold`]s.
    pub holds: u8,
    /// Packets translated in this direction.
    pub packets: u64,
    /// Bytes of those, IP header included.
    pub bytes: u64,
}

impl FlowEntry {
    /// Of no flow yet.
    pub const EMPTY: Self = Self {
        addr: [0; 4],
        port: 0,
        addr_delta: 0,
        last_seen: 0,
        state: State::Udp,
        direction: Direction::In,
        port_delta: 0,
        mtu: 0,
        generation: 0,
        created: 0,
        next_hop: [0; 6],
        egress: 0,
        holds: 0,
        packets: 0,
        bytes: 0,
    };
}

const _: () = assert!(size_of::<FlowKey>() == 16 && size_of::<FlowEntry>() == 48);
