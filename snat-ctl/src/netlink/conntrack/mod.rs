//! The connections that the kernel follows in the calling thread's network namespace (ctnetlink). IPv4 only.
//!
//! ICMP echo has its identifier where the port of its sender would be, and 0 for the other side's.

mod change;
mod dump;
mod message;

use std::net::SocketAddrV4;

pub use self::{
    change::{Changes, Entered},
    dump::for_each,
};

/// A packet's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Who sends it.
    pub src: SocketAddrV4,
    /// To whom.
    pub dst: SocketAddrV4,
}

impl Tuple {
    /// That of the answer, as far as nobody translates it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
        }
    }
}

/// A connection. What the kernel translates is where `reply` is not `original` the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The IP protocol's number.
    pub protocol: u8,
    /// A packet of the direction that opened it, as it comes in.
    pub original: Tuple,
    /// A packet of the other direction, as it comes in.
    pub reply: Tuple,
    /// Seconds until the kernel forgets it.
    pub timeout: u32,
    /// Whether the other direction has answered.
    pub answered: bool,
    /// Whether the kernel is about to forget it.
    pub dying: bool,
    /// Of TCP only.
    pub tcp: Option<Tcp>,
}

/// Where a TCP connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// The kernel's name for it.
    pub state: TcpState,
    /// Whether the FIN that began its end was the opener's.
    pub closed_by_opener: bool,
}

/// `enum tcp_conntrack` of `linux/netfilter/nf_conntrack_tcp.h`.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpState {
    /// SYN sent.
    SynSent = 1,
    /// SYN and its answer sent.
    SynReceived = 2,
    /// Open.
    Established = 3,
    /// One side has sent FIN.
    FinWait = 4,
    /// That is acknowledged.
    CloseWait = 5,
    /// Both have sent FIN.
    LastAck = 6,
    /// The last one is acknowledged.
    TimeWait = 7,
    /// Reset, or unknown.
    Close = 8,
    /// Both have sent SYN.
    SynSent2 = 9,
}

/// Numbers of the protocols whose connections have more than addresses here.
pub mod protocol {
    /// ICMP: echo.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
}
