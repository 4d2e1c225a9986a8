//! What the kernel's stack does with a packet that the gateway leaves to it.

use std::net::IpAddr;

use serde::Serialize;
use snat_common::{FlowKey, Protocol, Verdict};

use super::{
    ExplainError,
    env::View,
    packet::{Asked, protocol},
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

/// What it does, and by which interface.
pub(super) struct Stack {
    pub(super) does: Does,
    /// Interface that it would leave by.
    pub(super) egress: Option<u32>,
}

/// Asks the stack's own route lookup about a packet that ended as `verdict`.
pub(super) fn stack(
    view: &View,
    ingress: u32,
    packet: &Asked,
    verdict: Verdict,
) -> Result<Stack, ExplainError> {
    let found = match verdict {
        Verdict::Multicast => return Ok(only(Does::Receives)),
        Verdict::TtlToStack | Verdict::TooBigToStack => return Ok(only(Does::Refuses)),
        _ => route(ingress, packet)?,
    };
    let (kind, egress) = match found {
        Some(Found::Route { kind, dev, .. }) => (kind, dev),
        _ => return Ok(only(Does::Refuses)),
    };
    let does = match kind {
        RouteKind::Other(LOCAL) => delivery(view, ingress, packet)?,
        RouteKind::Other(BROADCAST) => Does::Receives,
        _ if packet.ttl <= 1 => Does::Refuses,
        _ => forwarding(view, ingress, packet, egress)?,
    };
    Ok(Stack {
        does,
        egress: egress.filter(|_| matches!(does, Does::Forwards | Does::IsStopped)),
    })
}

const fn only(does: Does) -> Stack {
    Stack { does, egress: None }
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

fn delivery(view: &View, ingress: u32, packet: &Asked) -> Result<Does, ExplainError> {
    let protocol = match packet.protocol {
        protocol::TCP => Protocol::Tcp,
        protocol::UDP => Protocol::Udp,
        // The kernel itself answers pings; of the rest nobody knows.
        _ => return Ok(Does::Delivers),
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
        Does::Delivers
    } else {
        Does::DeliversToNone
    })
}

/// The guard sits on the gateway's interfaces and on no other.
fn forwarding(
    view: &View,
    ingress: u32,
    packet: &Asked,
    egress: Option<u32>,
) -> Result<Does, ExplainError> {
    let is_managed = match egress {
        Some(egress) => view.tables.slot(egress)?.is_some(),
        None => false,
    };
    Ok(if is_managed && is_stopped(view, ingress, packet)? {
        Does::IsStopped
    } else {
        Does::Forwards
    })
}
