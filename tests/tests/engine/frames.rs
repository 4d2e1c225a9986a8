//! Frames with every length and checksum computed from scratch, by a library.

use etherparse::{
    IcmpEchoHeader, Icmpv4Header, Icmpv4Type, IpNumber, Ipv4Header, TcpHeader, UdpHeader,
};
use snat_common::Addr;

use crate::world::{
    EXTERNAL, INTERNAL, LAN, ONE_ARM, ROUTER, SECOND_EXTERNAL, SECOND_UPSTREAM, UPSTREAM, WAN, mac,
};

/// Address and port (or echo identifier).
pub(crate) type Endpoint = (Addr, u16);

/// An IPv4 packet in an Ethernet frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) to: [u8; 6],
    pub(crate) from: [u8; 6],
    pub(crate) ip: Ipv4Header,
    pub(crate) transport: Transport,
    pub(crate) payload: Vec<u8>,
    /// Inside the IP packet, behind what the transport says is its payload.
    pub(crate) trailing: Vec<u8>,
    /// Bytes that only fill the frame.
    pub(crate) padding: usize,
}

/// What the IP packet carries.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Tcp(TcpHeader),
    /// With or without a checksum.
    Udp {
        src: u16,
        dst: u16,
        checked: bool,
    },
    Icmp(Icmpv4Type),
    /// A payload of this protocol.
    Raw(u8),
}

impl Frame {
    /// A packet between two addresses; its Ethernet header says nothing yet.
    fn new(src: Addr, dst: Addr, transport: Transport) -> Self {
        let mut ip = Ipv4Header {
            source: src,
            destination: dst,
            time_to_live: 64,
            identification: 0x1234,
            ..Ipv4Header::default()
        };
        // So its identification is nobody's concern (RFC 6864 §4.1).
        ip.dont_fragment = true;
        Self {
            to: [0; 6],
            from: [0; 6],
            ip,
            transport,
            payload: b"the quick brown fox!".to_vec(),
            trailing: Vec::new(),
            padding: 0,
        }
    }

    /// A segment with these of the flags S, A, F, R, P.
    pub(crate) fn tcp(src: Endpoint, dst: Endpoint, flags: &str) -> Self {
        let mut tcp = TcpHeader::new(src.1, dst.1, 0x0102_0304, 0xffff);
        tcp.syn = flags.contains('S');
        tcp.ack = flags.contains('A');
        tcp.fin = flags.contains('F');
        tcp.rst = flags.contains('R');
        tcp.psh = flags.contains('P');
        Self::new(src.0, dst.0, Transport::Tcp(tcp))
    }

    /// A datagram.
    pub(crate) fn udp(src: Endpoint, dst: Endpoint) -> Self {
        let transport = Transport::Udp {
            src: src.1,
            dst: dst.1,
            checked: true,
        };
        Self::new(src.0, dst.0, transport)
    }

    /// An echo request.
    pub(crate) fn ping(src: Addr, dst: Addr, id: u16) -> Self {
        let echo = IcmpEchoHeader { id, seq: 9 };
        Self::new(src, dst, Transport::Icmp(Icmpv4Type::EchoRequest(echo)))
    }

    /// The answer to it.
    pub(crate) fn pong(src: Addr, dst: Addr, id: u16) -> Self {
        let echo = IcmpEchoHeader { id, seq: 9 };
        Self::new(src, dst, Transport::Icmp(Icmpv4Type::EchoReply(echo)))
    }

    /// Any ICMP message; what it quotes is its payload.
    pub(crate) fn icmp(src: Addr, dst: Addr, kind: Icmpv4Type) -> Self {
        Self::new(src, dst, Transport::Icmp(kind))
    }

    /// Any other protocol.
    pub(crate) fn raw(src: Addr, dst: Addr, protocol: u8) -> Self {
        Self::new(src, dst, Transport::Raw(protocol))
    }

    /// As it reaches the gateway from the client that is its source.
    pub(crate) fn by_client(mut self) -> Self {
        (self.from, self.to) = if ingress(self.ip.source) == LAN {
            (mac(self.ip.source), mac(INTERNAL))
        } else {
            (mac(ROUTER), mac(EXTERNAL))
        };
        self
    }

    /// As it reaches the gateway from the Internet.
    pub(crate) fn by_internet(mut self) -> Self {
        (self.from, self.to) = (mac(UPSTREAM), mac(EXTERNAL));
        self
    }

    /// The same with a change.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// What must become of it on its way to the Internet.
    pub(crate) fn translated_out(&self, external: Endpoint) -> Self {
        let mut out = self.clone();
        (out.from, out.to) = if external.0 == SECOND_EXTERNAL {
            (mac(SECOND_EXTERNAL), mac(SECOND_UPSTREAM))
        } else {
            (mac(EXTERNAL), mac(UPSTREAM))
        };
        out.ip.source = external.0;
        out.ip.time_to_live -= 1;
        match &mut out.transport {
            Transport::Tcp(tcp) => tcp.source_port = external.1,
            Transport::Udp { src, .. } => *src = external.1,
            Transport::Icmp(Icmpv4Type::EchoRequest(echo) | Icmpv4Type::EchoReply(echo)) => {
                echo.id = external.1;
            }
            Transport::Icmp(_) | Transport::Raw(_) => {}
        }
        out
    }

    /// What must become of it on its way back to the client.
    pub(crate) fn translated_in(&self, client: Endpoint) -> Self {
        let mut back = self.clone();
        (back.from, back.to) = if ingress(client.0) == LAN {
            (mac(INTERNAL), mac(client.0))
        } else {
            (mac(EXTERNAL), mac(ROUTER))
        };
        back.ip.destination = client.0;
        back.ip.time_to_live -= 1;
        match &mut back.transport {
            Transport::Tcp(tcp) => tcp.destination_port = client.1,
            Transport::Udp { dst, .. } => *dst = client.1,
            Transport::Icmp(Icmpv4Type::EchoRequest(echo) | Icmpv4Type::EchoReply(echo)) => {
                echo.id = client.1;
            }
            Transport::Icmp(_) | Transport::Raw(_) => {}
        }
        back
    }

    /// The bytes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (protocol, transport) = self.transport();
        let mut ip = self.ip.clone();
        ip.protocol = IpNumber(protocol);
        let carried = transport.len() + self.payload.len() + self.trailing.len();
        ip.total_len = (ip.header_len() + carried) as u16;
        ip.header_checksum = ip.calc_header_checksum();
        [
            &self.to[..],
            &self.from,
            &[8, 0],
            &ip.to_bytes(),
            &transport,
            &self.payload,
            &self.trailing,
            &vec![0; self.padding],
        ]
        .concat()
    }

    fn transport(&self) -> (u8, Vec<u8>) {
        let Self { ip, payload, .. } = self;
        match &self.transport {
            Transport::Tcp(tcp) => {
                let mut tcp = tcp.clone();
                let checksum = tcp.calc_checksum_ipv4(ip, payload);
                tcp.checksum = checksum.expect("fits a packet");
                (6, tcp.to_bytes().to_vec())
            }
            Transport::Udp { src, dst, checked } => {
                let mut udp = UdpHeader {
                    source_port: *src,
                    destination_port: *dst,
                    length: 8 + payload.len() as u16,
                    checksum: 0,
                };
                if *checked {
                    let checksum = udp.calc_checksum_ipv4(ip, payload);
                    udp.checksum = checksum.expect("fits a packet");
                }
                (17, udp.to_bytes().to_vec())
            }
            Transport::Icmp(kind) => {
                let icmp = Icmpv4Header::with_checksum(kind.clone(), payload);
                (1, icmp.to_bytes().to_vec())
            }
            Transport::Raw(protocol) => (*protocol, Vec::new()),
        }
    }
}

/// The interface that a client's packets come in by.
pub(crate) fn ingress(client: Addr) -> u32 {
    if client[..2] == ONE_ARM[..2] {
        WAN
    } else {
        LAN
    }
}
