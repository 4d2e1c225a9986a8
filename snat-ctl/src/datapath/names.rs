//! Names in tables and JSON: part of the contract.

use snat_common::{Protocol, State};

/// The stable name of a [`Protocol`]'s number.
pub(super) fn protocol_name(number: u8) -> &'static str {
    let protocols = [
        (Protocol::Icmp, "icmp"),
        (Protocol::Tcp, "tcp"),
        (Protocol::Udp, "udp"),
        (Protocol::UdpLite, "udp_lite"),
        (Protocol::Sctp, "sctp"),
        (Protocol::Gre, "gre"),
        (Protocol::Esp, "esp"),
        (Protocol::Other, "other"),
    ];
    let known = protocols
        .iter()
        .find(|(protocol, _)| *protocol as u8 == number);
    known.map_or("unknown", |(_, name)| name)
}

/// The stable name of a [`State`]'s number.
pub(super) fn state_name(number: u8) -> &'static str {
    let states = [
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
        (State::Dead, "dead"),
    ];
    let known = states.iter().find(|(state, _)| *state as u8 == number);
    known.map_or("unknown", |(_, name)| name)
}
