//! What the kernel's stack does with a packet that the gateway leaves to it.

use std::net::IpAddr;

use serde::Serialize;
use snat_common::{FlowKey, Protocol, RouteKind as RouteAnswer, RouteQuery, Verdict};

use super::{
    ExplainError,
    packet::{Asked, protocol},
    view::View,
    walk::is_stopped,
};
use crate::{
    eni::RouteKind,
    netlink::{Found, Lookup, NetlinkError, lookup},
};

/// `RTN_LOCAL` and `RTN_BROADCAST` of `rtnetlink.h`.
const LOCAL: u8 = 2;
const BROADCAST: u8 = 3;

/// What it does. Its own filters (netfilter) are not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// Delivers it here, to a socket that waits for it.
    Delivers,
    /// Delivers it here, where no socket waits for it.
    DeliversToNone,
    /// Forwards it as it came, untranslated.
    Forwards,
    /// Would forward it, but the guard on the way out stops it.
    IsStopped,
    /// Answers with an ICMP error, or drops it for its route.
    Refuses,
    /// Multicast and broadcast: whoever has joined.
    Receives,
}

/// What it does, in words, and by which interface.
pub(super) struct Stack {
    pub(super) does: Does,
    pub(super) words: &'static str,
    /// Interface that it leaves by, or would but for the guard.
    pub(super) egress: Option<u32>,
}

const TIME_EXCEEDED: Stack = only(Does::Refuses, "answers with ICMP time exceeded");
const TOO_BIG: Stack = only(Does::Refuses, "answers with ICMP fragmentation needed");
const NO_WAY: Stack = only(
    Does::Refuses,
    "has no way for it: it answers with an ICMP error, or drops it",
);
const RECEIVED: Stack = only(
    Does::Receives,
    "gives it to whoever on this host has joined",
);

/// Asks the stack's own route lookup about a packet that ended as `verdict`.
pub(super) fn stack(
    view: &View,
    ingress: u32,
    packet: &Asked,
    verdict: Verdict,
) -> Result<Stack, ExplainError> {
    match verdict {
        Verdict::Multicast => return Ok(RECEIVED),
        Verdict::TtlToStack => return Ok(TIME_EXCEEDED),
        Verdict::TooBigToStack => return Ok(TOO_BIG),
        _ => {}
    }
    let Some(Found::Route { kind, dev, .. }) = route(ingress, packet)? else {
        return Ok(NO_WAY);
    };
    match (kind, dev) {
        (RouteKind::Other(LOCAL), _) => delivery(view, ingress, packet),
        (RouteKind::Other(BROADCAST), _) => Ok(RECEIVED),
        (_, Some(egress)) => forwarding(view, ingress, packet, egress),
        (_, None) => Ok(NO_WAY),
    }
}

const fn only(does: Does, words: &'static str) -> Stack {
    Stack {
        does,
        words,
        egress: None,
    }
}

/// `None`: the kernel drops such a packet for its source, as the reverse-path filter does.
fn route(ingress: u32, packet: &Asked) -> Result<Option<Found>, ExplainError> {
    let has_ports = matches!(packet.protocol, protocol::TCP | protocol::UDP);
    let port = |port: u16| (has_ports && port != 0).then_some(port);
    let question = Lookup {
        source: Some(IpAddr::V4(*packet.src.ip())),
        iif: Some(ingress),
        // The others are none to this question (`rtm_getroute_parse_ip_proto`).
        ip_protocol: (has_ports || packet.protocol == protocol::ICMP).then_some(packet.protocol),
        source_port: port(packet.src.port()),
        destination_port: port(packet.dst.port()),
        ..Lookup::to(IpAddr::V4(*packet.dst.ip()))
    };
    match lookup(&question) {
        Ok(found) => Ok(Some(found)),
        Err(NetlinkError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn delivery(view: &View, ingress: u32, packet: &Asked) -> Result<Stack, ExplainError> {
    const DELIVERED: Stack = only(Does::Delivers, "delivers it on this host");
    let protocol = match packet.protocol {
        protocol::TCP => Protocol::Tcp,
        protocol::UDP => Protocol::Udp,
        // The kernel itself answers pings; of the rest nobody knows.
        _ => return Ok(DELIVERED),
    };
    let key = FlowKey {
        src: packet.src.ip().octets(),
        dst: packet.dst.ip().octets(),
        src_port: packet.src.port(),
        dst_port: packet.dst.port(),
        protocol,
        number: 0,
        zero: [0; 2],
    };
    Ok(if view.look.has_socket(ingress, &key)? {
        DELIVERED
    } else {
        only(
            Does::DeliversToNone,
            "delivers it on this host, where no socket waits for it",
        )
    })
}

fn forwarding(
    view: &View,
    ingress: u32,
    packet: &Asked,
    egress: u32,
) -> Result<Stack, ExplainError> {
    if packet.ttl <= 1 {
        return Ok(TIME_EXCEEDED);
    }
    if packet.dont_fragment && packet.size > mtu(view, ingress, packet)? {
        return Ok(TOO_BIG);
    }
    // The guard sits on the gateway's interfaces and on no other.
    let is_managed = view.tables.slot(egress)?.is_some();
    let (does, words) = if is_managed && is_stopped(view, ingress, packet)? {
        (
            Does::IsStopped,
            "would forward it untranslated: the guard on the way out stops it",
        )
    } else {
        (Does::Forwards, "forwards it untranslated")
    };
    Ok(Stack {
        does,
        words,
        egress: Some(egress),
    })
}

/// Largest packet that the way takes.
fn mtu(view: &View, ingress: u32, packet: &Asked) -> Result<u16, ExplainError> {
    let query = RouteQuery {
        src: packet.src.ip().octets(),
        dst: packet.dst.ip().octets(),
        ports: (packet.src.port(), packet.dst.port()),
        protocol: packet.protocol,
        tos: 0,
    };
    let route = view.look.route(ingress, &query)?;
    Ok(match route.kind {
        RouteAnswer::Ready | RouteAnswer::NoNeighbour => route.mtu,
        RouteAnswer::NotForwarded | RouteAnswer::Unusable => u16::MAX,
    })
}
