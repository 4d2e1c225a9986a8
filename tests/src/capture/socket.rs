//! An `AF_PACKET` socket: every frame of one interface, both ways, with what was lost counted.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    net::if_::if_nametoindex,
    sys::{
        socket::{setsockopt, sockopt},
        time::TimeVal,
    },
};

/// Room for the packets of a burst: 100 MB of them at the kernel's accounting.
const BUFFER: usize = 256 << 20;

/// Which way a frame passed the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Received by the host.
    In,
    /// Sent by the host.
    Out,
}

/// A bound socket. Frames come without their Ethernet header.
pub(super) struct PacketSocket {
    fd: OwnedFd,
    ifindex: i32,
}

impl PacketSocket {
    /// Binds to `dev` of the calling thread's namespace; reads end after `timeout` without a frame.
    pub(super) fn open(dev: &str, timeout: Duration) -> Result<Self> {
        let index = if_nametoindex(dev).with_context(|| format!("looking up interface {dev}"))?;
        let ifindex = i32::try_from(index)?;
        // Protocol 0: nothing is received before bind(), so no frame of another interface either.
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        check(fd).context("socket(AF_PACKET)")?;
        let socket = Self {
            // SAFETY: `fd` was just opened and has no other owner.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            ifindex,
        };
        setsockopt(&socket.fd, sockopt::RcvBufForce, &BUFFER).context("SO_RCVBUFFORCE")?;
        let timeout = TimeVal::new(0, timeout.subsec_micros().into());
        setsockopt(&socket.fd, sockopt::ReceiveTimeout, &timeout).context("SO_RCVTIMEO")?;

        let mut address = empty_address();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = ifindex;
        // SAFETY: `address` is a valid sockaddr_ll and its true size is passed.
        let bound = unsafe {
            libc::bind(
                fd,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        check(bound).with_context(|| format!("binding to {dev}"))?;
        Ok(socket)
    }

    /// The next packet: its way, and how much of `buffer` it fills.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut address = empty_address();
        let mut address_len = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: both buffers are writable for the lengths passed.
        let len = unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                (&raw mut address).cast(),
                &raw mut address_len,
            )
        };
        let Ok(len) = usize::try_from(len) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Received::Nothing),
                _ => Err(error),
            };
        };
        let direction = if address.sll_pkttype == libc::PACKET_OUTGOING {
            Direction::Out
        } else {
            Direction::In
        };
        Ok(
            match libc::c_int::from(u16::from_be(address.sll_protocol)) {
                libc::ETH_P_IP => Received::Ipv4(direction, len),
                libc::ETH_P_IPV6 => Received::Ipv6(direction, len),
                _ => Received::Other,
            },
        )
    }

    /// Sends an IPv4 packet, and whatever is behind it, in a frame to a station on the interface's link.
    pub(super) fn send(&self, station: [u8; 6], bytes: &[u8]) -> io::Result<()> {
        let mut address = empty_address();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
        address.sll_ifindex = self.ifindex;
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&station);
        // SAFETY: `bytes` is readable for its length, `address` a valid sockaddr_ll of the length passed.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// How many frames did not fit the buffer since the last call.
    pub(super) fn lost(&self) -> io::Result<u32> {
        let mut stats = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let mut len = size_of::<libc::tpacket_stats>() as u32;
        // SAFETY: `stats` is writable for `len` bytes and has the layout the option fills in.
        let result = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut len,
            )
        };
        check(result)?;
        Ok(stats.tp_drops)
    }
}

/// What [`PacketSocket::receive`] found.
pub(super) enum Received {
    /// An IPv4 packet of that many bytes.
    Ipv4(Direction, usize),
    /// An IPv6 packet of that many bytes.
    Ipv6(Direction, usize),
    /// A frame of another kind.
    Other,
    /// Nothing in time.
    Nothing,
}

fn empty_address() -> libc::sockaddr_ll {
    // SAFETY: sockaddr_ll is plain integers, for which all zeroes is a value.
    unsafe { std::mem::zeroed() }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
