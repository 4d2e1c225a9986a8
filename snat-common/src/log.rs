//! Who had which external address and port, and when: what RFC 6888 REQ-12 has a gateway's owner log.
//!
//! A port that is a client endpoint's own is logged once, when it is mapped, and once when it is given back. A flow that
//! shares its port with others is logged itself: without it nobody could be named. Destinations are logged only
//! where that is asked for (RFC 6888 §4).

use crate::{
    env::Env,
    flow::{Addr, FlowKey},
    mapping::{MappingKey, hold},
};

/// How much is logged: [`crate::Settings::log`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Off = 0,
    /// What is needed to tell whose an external port was.
    Mappings = 1,
    /// All flows, with their destinations.
    Destinations = 2,
}

/// What happened.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An external port became a client endpoint's own.
    MappingMade = 0,
    /// It was given back.
    MappingRemoved = 1,
    /// A flow was opened.
    FlowOpened = 2,
    /// A flow was removed.
    FlowRemoved = 3,
}

/// A record of the ring buffer `LOG`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`; [`Env::log`] fills it in.
    pub time: u64,
    /// The client's address.
    pub client: Addr,
    /// The external address.
    pub external: Addr,
    /// The server's; 0.0.0.0 where destinations are not logged.
    pub server: Addr,
    /// The client's port or echo identifier.
    pub client_port: u16,
    /// The external one.
    pub external_port: u16,
    /// The server's port.
    pub server_port: u16,
    /// Number of the [`crate::Protocol`].
    pub protocol: u8,
    /// IP protocol number of [`crate::Protocol::Other`]; 0 for the rest.
    pub number: u8,
    /// Number of the [`Kind`].
    pub kind: u8,
    /// Always zero.
    pub zero: [u8; 3],
}

/// A mapping was made or removed: the client's endpoint is `client` and `client_port`.
#[inline(always)]
pub fn mapping<E: Env>(
    env: &E,
    kind: Kind,
    outer: &MappingKey,
    (client, client_port): (Addr, u16),
) {
    if detail(env) == Detail::Off as u8 {
        return;
    }
    env.log(&LogRecord {
        time: 0,
        client,
        external: outer.addr,
        server: [0; 4],
        client_port,
        external_port: outer.port,
        server_port: 0,
        protocol: outer.protocol as u8,
        number: 0,
        kind: kind as u8,
        zero: [0; 3],
    });
}

/// A flow was opened or removed.
#[inline(always)]
pub fn flow<E: Env>(
    env: &E,
    kind: Kind,
    in_key: &FlowKey,
    holds: u8,
    (client, client_port): (Addr, u16),
) {
    let all = detail(env) == Detail::Destinations as u8;
    if !all && (detail(env) == Detail::Off as u8 || holds & hold::MAPPING != 0) {
        return;
    }
    env.log(&LogRecord {
        time: 0,
        client,
        external: in_key.dst,
        server: if all { in_key.src } else { [0; 4] },
        client_port,
        external_port: in_key.dst_port,
        server_port: if all { in_key.src_port } else { 0 },
        protocol: in_key.protocol as u8,
        number: in_key.number,
        kind: kind as u8,
        zero: [0; 3],
    });
}

#[inline(always)]
fn detail<E: Env>(env: &E) -> u8 {
    env.settings().map_or(0, |settings| settings.log)
}

const _: () = assert!(size_of::<LogRecord>() == 32);
