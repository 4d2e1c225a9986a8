//! A packet to be explained, and its frame.

use std::net::{Ipv4Addr, SocketAddrV4};

use snat_common::{Packet, checksum, packet::ETH_LEN, parse::parse};

/// IANA protocol numbers that are spoken of here.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
}

const ETHERTYPE_IPV4: [u8; 2] = [8, 0];
const IP_HEADER: u16 = 20;
const DONT_FRAGMENT: u8 = 0x40;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// What is known of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// IP protocol.
    pub protocol: u8,
    /// Source; its port is 0 where the protocol has none. Of an echo request it is the identifier.
    pub src: SocketAddrV4,
    /// Destination. Of an echo reply its port is the identifier.
    pub dst: SocketAddrV4,
    /// Time to live on arrival.
    pub ttl: u8,
    /// Length of the IP packet; at least what its headers take.
    pub size: u16,
    /// Don't fragment.
    pub dont_fragment: bool,
    /// TCP flags.
    pub flags: u8,
    /// Of ICMP echo: the reply, not the request.
    pub is_reply: bool,
}

impl Asked {
    /// The frame, as it would come to the station `to`.
    pub(super) fn frame(&self, to: [u8; 6]) -> Frame {
        let size = self.size.max(smallest(self.protocol));
        let mut bytes = vec![0; ETH_LEN as usize + usize::from(size)];
        bytes[..6].copy_from_slice(&to);
        bytes[12..14].copy_from_slice(&ETHERTYPE_IPV4);
        let (ip, transport) = bytes[ETH_LEN as usize..].split_at_mut(IP_HEADER.into());
        self.write_transport(transport, size - IP_HEADER);
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&size.to_be_bytes());
        ip[6] = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        ip[8] = self.ttl;
        ip[9] = self.protocol;
        ip[12..16].copy_from_slice(&self.src.ip().octets());
        ip[16..20].copy_from_slice(&self.dst.ip().octets());
        let sum = ip.first_chunk().map_or(0, checksum::header_sum);
        let sum = !checksum::fold(sum);
        ip[10..12].copy_from_slice(&sum.to_ne_bytes());
        Frame(bytes)
    }

    /// Checksums stay out: the engine adjusts and never verifies them.
    fn write_transport(&self, bytes: &mut [u8], len: u16) {
        let (src, dst) = (self.src.port(), self.dst.port());
        match self.protocol {
            protocol::ICMP => {
                bytes[0] = if self.is_reply {
                    ECHO_REPLY
                } else {
                    ECHO_REQUEST
                };
                let identifier = if self.is_reply { dst } else { src };
                bytes[4..6].copy_from_slice(&identifier.to_be_bytes());
                return;
            }
            protocol::TCP | protocol::UDP | protocol::UDP_LITE | protocol::SCTP => {}
            _ => return,
        }
        bytes[..2].copy_from_slice(&src.to_be_bytes());
        bytes[2..4].copy_from_slice(&dst.to_be_bytes());
        match self.protocol {
            protocol::TCP => {
                bytes[12] = 5 << 4;
                bytes[13] = self.flags;
            }
            protocol::SCTP => {}
            _ => bytes[4..6].copy_from_slice(&len.to_be_bytes()),
        }
    }
}

/// Bytes of the IP packet that a protocol's headers take at least.
#[must_use]
pub const fn smallest(protocol: u8) -> u16 {
    IP_HEADER
        + match protocol {
            protocol::TCP => 20,
            protocol::SCTP => 12,
            protocol::ICMP | protocol::UDP | protocol::UDP_LITE => 8,
            _ => 0,
        }
}

/// A frame in memory.
#[derive(Clone)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// Source and destination as they are in it.
    pub(super) fn endpoints(&self) -> Option<(SocketAddrV4, SocketAddrV4)> {
        let key = parse(self).ok()?.key;
        let endpoint = |addr, port| SocketAddrV4::new(Ipv4Addr::from(addr), port);
        Some((
            endpoint(key.src, key.src_port),
            endpoint(key.dst, key.dst_port),
        ))
    }

    /// From the IP header on.
    pub(super) fn packet(&self) -> &[u8] {
        self.0.get(ETH_LEN as usize..).unwrap_or_default()
    }
}

impl Packet for Frame {
    fn frame_len(&self) -> u32 {
        self.0.len() as u32
    }

    fn window<const N: usize>(&self, offset: u32) -> Option<&[u8; N]> {
        self.0.get(offset as usize..)?.first_chunk()
    }

    fn window_mut<const N: usize>(&mut self, offset: u32) -> Option<&mut [u8; N]> {
        self.0.get_mut(offset as usize..)?.first_chunk_mut()
    }

    fn resize(&mut self, len: u32) -> bool {
        self.0.resize(len as usize, 0);
        true
    }

    fn make_room(&mut self, len: u32) -> bool {
        let behind = ETH_LEN as usize;
        self.0
            .splice(behind..behind, std::iter::repeat_n(0, len as usize));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, protocol, smallest};
    use snat_common::parse::parse;

    #[test]
    fn what_is_asked_about_is_what_the_engine_reads() {
        for number in [1, 6, 17, 47, 50, 132, 136] {
            let asked = Asked {
                protocol: number,
                src: "172.16.1.11:40000".parse().expect("an endpoint"),
                dst: "198.51.100.20:443".parse().expect("an endpoint"),
                ttl: 7,
                size: 100,
                dont_fragment: true,
                flags: 0x12,
                is_reply: false,
            };
            let parsed = parse(&asked.frame([2; 6])).expect("a sound packet");
            assert_eq!(parsed.flaw, None, "{number}");
            assert_eq!(parsed.ip_protocol, number);
            assert_eq!((parsed.ttl, parsed.ip_len), (7, 100));
            assert!(parsed.dont_fragment);
            assert_eq!(parsed.key.src, [172, 16, 1, 11]);
            let has_port = smallest(number) > 20;
            assert_eq!(parsed.key.src_port == 40000, has_port, "{number}");
            let flags = if number == protocol::TCP { 0x12 } else { 0 };
            assert_eq!(parsed.tcp_flags, flags);
        }
    }
}
