//! Names in tables and JSON: part of the contract.

use std::borrow::Cow;

use snat_common::{Protocol, State};

/// Protocols that have a name.
pub(super) const PROTOCOLS: [(Protocol, &str); 8] = [
    (Protocol::Icmp, "icmp"),
    (Protocol::Tcp, "tcp"),
    (Protocol::Udp, "udp"),
    (Protocol::UdpLite, "udp_lite"),
    (Protocol::Sctp, "sctp"),
    (Protocol::Gre, "gre"),
    (Protocol::Esp, "esp"),
    (Protocol::Other, "other"),
];

/// States, each of which has a name.
pub(super) const STATES: [(State, &str); 12] = [
    (State::IcmpEcho, "echo"),
    (State::Udp, "udp"),
    (State::TcpSynSent, "syn_sent"),
    (State::TcpEstablished, "established"),
    (State::TcpFinOut, "fin_out"),
    (State::TcpFinIn, "fin_in"),
    (State::TcpClosing, "closing"),
    (State::TcpReset, "reset"),
    (State::TcpSynReceived, "syn_received"),
    (State::Other, "other"),
    (State::Ended, "ended"),
    (State::Dead, "dead"),
];

/// The stable name of a [`Protocol`]'s number.
pub(super) fn protocol_name(number: u8) -> &'static str {
    let known = PROTOCOLS
        .iter()
        .find(|(protocol, _)| *protocol as u8 == number);
    known.map_or("unknown", |(_, name)| name)
}

/// The name of a protocol by IP's number, which a [`Protocol`] has but for [`Protocol::Other`].
pub(crate) fn known_protocol(number: u8) -> Option<&'static str> {
    let mut known = PROTOCOLS.iter();
    let known = known.find(|(protocol, _)| *protocol as u8 == number)?;
    (known.0 != Protocol::Other).then_some(known.1)
}

/// The stable name, or the IP protocol's number where the datapath has but that.
#[must_use]
pub fn protocol_label(protocol: u8, number: u8) -> Cow<'static, str> {
    match number {
        0 => protocol_name(protocol).into(),
        number => number.to_string().into(),
    }
}

/// The number of the [`Protocol`] that has this name; of one that is but a number, that of [`Protocol::Other`].
#[must_use]
pub fn protocol_number(name: &str) -> u32 {
    let known = PROTOCOLS.iter().find(|(_, known)| *known == name);
    known.map_or(Protocol::Other, |(protocol, _)| *protocol) as u32
}

/// IP's number of the protocol that has this name, if that is one protocol.
pub(crate) fn named_protocol(name: &str) -> Option<u8> {
    let mut known = PROTOCOLS.iter();
    let (protocol, _) = known.find(|(_, known)| *known == name)?;
    (*protocol != Protocol::Other).then_some(*protocol as u8)
}

/// The state that has this name.
pub(crate) fn named_state(name: &str) -> Option<State> {
    let mut known = STATES.iter();
    known
        .find(|(_, known)| *known == name)
        .map(|(state, _)| *state)
}

/// The stable name of a [`State`]'s number.
pub(crate) fn state_name(number: u8) -> &'static str {
    let known = STATES.iter().find(|(state, _)| *state as u8 == number);
    known.map_or("unknown", |(_, name)| name)
}
