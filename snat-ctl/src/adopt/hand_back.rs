//! Gives the flows to the kernel's connection tracking, whose NAT rules then go on with them.

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddrV4};

use anyhow::Context as _;
use serde::Serialize;
use snat_common::{State, settings::TICK_SHIFT, transfer::Transfer};

use crate::{
    datapath::{Filter, Flow, Pins, named_protocol, named_state, scan, set_transfer, timeouts},
    netlink::{
        NetlinkError,
        conntrack::{Changes, Connection, Entered, Tcp, TcpState, Tuple, protocol},
    },
};

/// What became of the flows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HandedBack {
    /// The kernel has them.
    pub handed_back: u64,
    /// Not given: over, or opened from outside a moment ago and not answered.
    pub not_open: u64,
    /// Not given: the kernel has another connection with the same external endpoint.
    pub taken: u64,
    /// Not given: the kernel's table is full.
    pub no_room: u64,
    /// Not given, of protocols whose connections cannot be.
    pub other_protocols: BTreeMap<Cow<'static, str>, u64>,
}

/// Gives the kernel what it can have. From here on it opens what is new; the flows are the gateway's until that is
/// detached, which the caller does next.
///
/// # Errors
///
/// When the table cannot be read or the kernel refuses for another reason than those that are counted. Then the gateway
/// goes on as before.
pub fn hand_back(pins: &Pins) -> anyhow::Result<HandedBack> {
    let changes = Changes::open()?;
    set_transfer(pins, Transfer::All)?;
    let given = give(pins, &changes);
    if given.is_err() {
        set_transfer(pins, Transfer::None)?;
    }
    given
}

fn give(pins: &Pins, changes: &Changes) -> anyhow::Result<HandedBack> {
    let timeouts = timeouts(pins)?;
    let left = |state: State, idle: f64| {
        let ticks = timeouts.get(state as usize).copied().unwrap_or_default();
        let timeout = ((u64::from(ticks) << TICK_SHIFT) / 1_000_000_000) as u32;
        timeout.saturating_sub(idle as u32)
    };
    let mut handed = HandedBack::default();
    let mut failed: Option<NetlinkError> = None;
    scan(pins, &Filter::default(), |flow| {
        if failed.is_some() {
            return;
        }
        let Some(number) = tracked(flow) else {
            let count = handed.other_protocols.entry(flow.protocol.clone());
            *count.or_default() += 1;
            return;
        };
        let state = named_state(flow.state).unwrap_or(State::Dead);
        let connection = connection(flow, number, state, left(state, flow.idle_seconds));
        let Some(connection) = connection else {
            handed.not_open += 1;
            return;
        };
        match changes.enter(&connection) {
            Ok(Entered::Done) => handed.handed_back += 1,
            Ok(Entered::Taken) => handed.taken += 1,
            Ok(Entered::Full) => handed.no_room += 1,
            Err(error) => failed = Some(error),
        }
    })?;
    match failed {
        Some(error) => Err(error).context("cannot hand the flows back, and nothing was detached"),
        None => Ok(handed),
    }
}

/// The number of its protocol, if the kernel can be told of its connections.
fn tracked(flow: &Flow) -> Option<u8> {
    let known = [
        protocol::ICMP,
        protocol::TCP,
        protocol::UDP,
        protocol::UDP_LITE,
    ];
    let number = named_protocol(&flow.protocol)?;
    known.contains(&number).then_some(number)
}

/// As the kernel would have it, had the client opened it: also where a server did, for the packets are the same.
fn connection(flow: &Flow, number: u8, state: State, timeout: u32) -> Option<Connection> {
    let server = SocketAddrV4::new(flow.server, flow.server_port);
    let original = Tuple {
        src: SocketAddrV4::new(flow.client, flow.client_port),
        dst: server,
    };
    let tcp = |state, closed_by_opener| {
        Some(Tcp {
            state,
            closed_by_opener,
        })
    };
    let tcp = match state {
        State::TcpSynReceived | State::Ended | State::Dead => return None,
        State::TcpSynSent => tcp(TcpState::SynSent, false),
        State::TcpEstablished => tcp(TcpState::Established, false),
        State::TcpFinOut => tcp(TcpState::FinWait, true),
        State::TcpFinIn => tcp(TcpState::FinWait, false),
        State::TcpClosing => tcp(TcpState::TimeWait, false),
        State::TcpReset => tcp(TcpState::Close, false),
        State::IcmpEcho | State::Udp | State::Other => None,
    };
    (timeout > 0).then_some(Connection {
        protocol: number,
        original,
        reply: Tuple {
            src: server,
            dst: SocketAddrV4::new(flow.external, flow.external_port),
        },
        timeout,
        answered: state != State::TcpSynSent,
        dying: false,
        tcp,
    })
}
