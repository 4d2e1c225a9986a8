//! Connections as ctnetlink writes them.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use netlink_packet_core::{DefaultNla, Emitable as _, Nla as _};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterProtoFamily,
    conntrack::{
        ConntrackAttribute as Attribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP,
        ProtoTuple, Status, TCPFlags, Tuple as TuplePart,
    },
};

use super::{Connection, Tcp, TcpState, Tuple, protocol};

/// `linux/netfilter/nfnetlink_conntrack.h`.
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMP_TYPE: u16 = 5;
const CTA_PROTO_ICMP_CODE: u16 = 6;
const CTA_NAT_SRC: u16 = 6;
const CTA_NAT_DST: u16 = 13;
const CTA_NAT_V4_MINIP: u16 = 1;
const CTA_NAT_V4_MAXIP: u16 = 2;
const CTA_NAT_PROTO: u16 = 3;
const CTA_PROTONAT_PORT_MIN: u16 = 1;
const CTA_PROTONAT_PORT_MAX: u16 = 2;
const NLA_F_NESTED: u16 = 1 << 15;
/// `linux/netfilter/nf_conntrack_tcp.h`.
const IP_CT_TCP_FLAG_CLOSE_INIT: u8 = 0x04;
const IP_CT_TCP_FLAG_BE_LIBERAL: u8 = 0x08;
/// Of ICMP messages.
const ECHO_REPLY: u8 = 0;
const ECHO: u8 = 8;

/// A request about IPv4.
pub(super) fn request(message: ConntrackMessage) -> NetfilterMessage {
    let header = NetfilterHeader::new(NetfilterProtoFamily::IPv4, 0, 0);
    NetfilterMessage::new(header, message)
}

/// The connection in a message of the kernel; none of what has no two ends (ICMP other than echo).
pub(super) fn read(attributes: &[Attribute]) -> Option<Connection> {
    let (mut original, mut reply, mut tcp) = (None, None, None);
    let (mut timeout, mut status) = (0, Status::empty());
    for attribute in attributes {
        match attribute {
            Attribute::CtaTupleOrig(parts) => original = tuple(parts),
            Attribute::CtaTupleReply(parts) => reply = tuple(parts),
            Attribute::CtaTimeout(seconds) => timeout = *seconds,
            Attribute::CtaStatus(found) => status = *found,
            Attribute::CtaProtoInfo(infos) => {
                tcp = infos.iter().find_map(|info| match info {
                    ProtoInfo::TCP(parts) => read_tcp(parts),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let (protocol, original) = original?;
    Some(Connection {
        protocol,
        original,
        reply: reply?.1,
        timeout,
        answered: status.contains(Status::SeenReply),
        dying: status.contains(Status::Dying),
        tcp,
    })
}

/// What the kernel needs to know to follow the connection from now on, and to translate it.
pub(super) fn write(connection: &Connection) -> Vec<Attribute> {
    let Connection {
        protocol,
        original,
        reply,
        timeout,
        ..
    } = *connection;
    let mut status = Status::Confirmed;
    if connection.answered {
        status |= Status::SeenReply | Status::Assured;
    }
    // The tuples are those without NAT: that the kernel makes itself, and only so it notes that it does
    // (nf_nat_setup_info() of net/netfilter/nf_nat_core.c).
    let mut attributes = vec![
        Attribute::CtaTupleOrig(parts(protocol, original, ECHO)),
        Attribute::CtaTupleReply(parts(protocol, original.reversed(), ECHO_REPLY)),
        Attribute::CtaStatus(status),
        Attribute::CtaTimeout(timeout),
    ];
    attributes.extend(connection.tcp.map(write_tcp));
    let (from, to) = (reply.dst, reply.src);
    if from != original.src {
        attributes.push(translation(CTA_NAT_SRC, from));
    }
    if to != original.dst {
        attributes.push(translation(CTA_NAT_DST, to));
    }
    attributes
}

/// What names a connection.
pub(super) fn name(connection: &Connection) -> Vec<Attribute> {
    let parts = parts(connection.protocol, connection.original, ECHO);
    vec![Attribute::CtaTupleOrig(parts)]
}

fn tuple(all: &[TuplePart]) -> Option<(u8, Tuple)> {
    let (mut addresses, mut details) = (None, None);
    for part in all {
        match part {
            TuplePart::Ip(parts) => addresses = read_addresses(parts),
            TuplePart::Proto(parts) => details = read_details(parts),
            _ => {}
        }
    }
    let ((src, dst), (number, ports)) = (addresses?, details?);
    let tuple = Tuple {
        src: SocketAddrV4::new(src, ports.0),
        dst: SocketAddrV4::new(dst, ports.1),
    };
    Some((number, tuple))
}

fn read_addresses(parts: &[IPTuple]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (mut src, mut dst) = (None, None);
    for part in parts {
        match part {
            IPTuple::SourceAddress(IpAddr::V4(addr)) => src = Some(*addr),
            IPTuple::DestinationAddress(IpAddr::V4(addr)) => dst = Some(*addr),
            _ => {}
        }
    }
    src.zip(dst)
}

/// The protocol's number, and what stands for ports.
fn read_details(parts: &[ProtoTuple]) -> Option<(u8, (u16, u16))> {
    let (mut number, mut ports) = (None, (0, 0));
    let (mut id, mut kind) = (0, None);
    for part in parts {
        match part {
            ProtoTuple::Protocol(protocol) => number = Some(u8::from(*protocol)),
            ProtoTuple::SourcePort(port) => ports.0 = *port,
            ProtoTuple::DestinationPort(port) => ports.1 = *port,
            ProtoTuple::Other(other) => match (other.kind(), emitted_value(other).as_slice()) {
                (CTA_PROTO_ICMP_ID, [high, low]) => id = u16::from_be_bytes([*high, *low]),
                (CTA_PROTO_ICMP_TYPE, [found]) => kind = Some(*found),
                _ => {}
            },
            _ => {}
        }
    }
    match (number?, kind) {
        (protocol::ICMP, Some(ECHO)) => Some((protocol::ICMP, (id, 0))),
        (protocol::ICMP, Some(ECHO_REPLY)) => Some((protocol::ICMP, (0, id))),
        (protocol::ICMP, _) => None,
        (number, _) => Some((number, ports)),
    }
}

fn emitted_value(attribute: &DefaultNla) -> Vec<u8> {
    let mut value = vec![0; attribute.value_len()];
    attribute.emit_value(&mut value);
    value
}

fn parts(number: u8, tuple: Tuple, icmp_type: u8) -> Vec<TuplePart> {
    let Tuple { src, dst } = tuple;
    let addresses = vec![
        IPTuple::SourceAddress(IpAddr::V4(*src.ip())),
        IPTuple::DestinationAddress(IpAddr::V4(*dst.ip())),
    ];
    let mut details = vec![ProtoTuple::Protocol(number.into())];
    if number == protocol::ICMP {
        let id = src.port().max(dst.port()).to_be_bytes();
        details.extend([
            ProtoTuple::Other(DefaultNla::new(CTA_PROTO_ICMP_ID, id.to_vec())),
            ProtoTuple::Other(DefaultNla::new(CTA_PROTO_ICMP_TYPE, vec![icmp_type])),
            ProtoTuple::Other(DefaultNla::new(CTA_PROTO_ICMP_CODE, vec![0])),
        ]);
    } else {
        details.extend([
            ProtoTuple::SourcePort(src.port()),
            ProtoTuple::DestinationPort(dst.port()),
        ]);
    }
    vec![TuplePart::Ip(addresses), TuplePart::Proto(details)]
}

/// To exactly this address and port.
fn translation(kind: u16, to: SocketAddrV4) -> Attribute {
    let value = |kind, value: &[u8]| DefaultNla::new(kind, value.to_vec());
    let (addr, port) = (to.ip().octets(), to.port().to_be_bytes());
    let ports = [
        value(CTA_PROTONAT_PORT_MIN, &port),
        value(CTA_PROTONAT_PORT_MAX, &port),
    ];
    let all = [
        value(CTA_NAT_V4_MINIP, &addr),
        value(CTA_NAT_V4_MAXIP, &addr),
        value(CTA_NAT_PROTO | NLA_F_NESTED, &emitted(&ports)),
    ];
    Attribute::Other(DefaultNla::new(kind | NLA_F_NESTED, emitted(&all)))
}

fn emitted(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut buffer = vec![0; attributes.buffer_len()];
    attributes.emit(&mut buffer);
    buffer
}

fn read_tcp(parts: &[ProtoInfoTCP]) -> Option<Tcp> {
    let (mut state, mut closed_by_opener) = (None, false);
    for part in parts {
        match part {
            ProtoInfoTCP::State(number) => state = Some(tcp_state(*number)),
            ProtoInfoTCP::OriginalFlags(flags) => {
                closed_by_opener = flags.flags & IP_CT_TCP_FLAG_CLOSE_INIT != 0;
            }
            _ => {}
        }
    }
    Some(Tcp {
        state: state?,
        closed_by_opener,
    })
}

/// Nobody has seen the windows of a connection that comes from elsewhere: the kernel is not to judge by them.
fn write_tcp(tcp: Tcp) -> Attribute {
    let flags = |closed: bool| {
        let closed = u8::from(closed) * IP_CT_TCP_FLAG_CLOSE_INIT;
        let flags = IP_CT_TCP_FLAG_BE_LIBERAL | closed;
        let buffer = [flags, flags];
        TCPFlags::parse(&buffer).expect("two bytes are flags and a mask")
    };
    let is_closing = matches!(tcp.state, TcpState::FinWait | TcpState::CloseWait);
    Attribute::CtaProtoInfo(vec![ProtoInfo::TCP(vec![
        ProtoInfoTCP::State(tcp.state as u8),
        ProtoInfoTCP::OriginalFlags(flags(is_closing && tcp.closed_by_opener)),
        ProtoInfoTCP::ReplyFlags(flags(is_closing && !tcp.closed_by_opener)),
    ])])
}

fn tcp_state(number: u8) -> TcpState {
    match number {
        1 => TcpState::SynSent,
        2 => TcpState::SynReceived,
        3 => TcpState::Established,
        4 => TcpState::FinWait,
        5 => TcpState::CloseWait,
        6 => TcpState::LastAck,
        7 => TcpState::TimeWait,
        9 => TcpState::SynSent2,
        _ => TcpState::Close,
    }
}
