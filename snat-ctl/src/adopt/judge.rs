//! Which of the kernel's connections the configuration would translate, and translate alike.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::Ipv4Addr};

use snat_common::{
    FlowKey, MappingKey, MappingKind, Prefix, Protocol, SnatEntry, State,
    adopt::{Adoption, origin},
    settings::{Mapping, TICK_SHIFT, protocols},
};

use super::{Fate, Reason};
use crate::{
    datapath::{Desired, Host},
    netlink::conntrack::{Connection, Tcp, TcpState, Tuple, protocol},
};

/// Judges by a configuration, on a host.
pub struct Judge {
    desired: Desired,
    host: Host,
    local: BTreeSet<Ipv4Addr>,
}

impl Judge {
    /// `local` are all addresses of the host.
    #[must_use]
    pub fn new(desired: Desired, host: Host, local: BTreeSet<Ipv4Addr>) -> Self {
        Self {
            desired,
            host,
            local,
        }
    }

    /// Room for that many flows.
    #[must_use]
    pub fn max_flows(&self) -> u32 {
        self.desired.settings.max_flows
    }

    /// What becomes of the connection.
    #[must_use]
    pub fn fate(&self, connection: &Connection) -> Fate {
        if connection.dying || connection.timeout == 0 {
            return Fate::Ended;
        }
        let judged = if self.local.contains(connection.original.src.ip()) {
            Ok(None)
        } else if let Some(entry) = self.entry(*connection.original.src.ip()) {
            self.opened_by_client(connection, entry)
        } else {
            self.opened_outside(connection)
        };
        match judged {
            Ok(Some(adoption)) => Fate::TakenOver(adoption),
            Ok(None) => Fate::Stays,
            Err(reason) => Fate::Cut(reason),
        }
    }

    fn opened_by_client(
        &self,
        connection: &Connection,
        entry: &SnatEntry,
    ) -> Result<Option<Adoption>, Reason> {
        let Tuple { src, dst } = connection.original;
        let (source, destination) = translated(connection);
        if self.local.contains(dst.ip()) && !source || is_multicast(*dst.ip()) {
            return Ok(None);
        }
        let bypassed = longest(&self.desired.bypass, *dst.ip(), |prefix| *prefix).is_some();
        match (source, destination) {
            (true, true) => return Err(Reason::Both),
            (false, true) => return Err(Reason::Redirected),
            (true, false) if bypassed => return Err(Reason::Bypass),
            (false, false) if bypassed => return Ok(None),
            (false, false) => return Err(Reason::NotTranslated),
            (true, false) => {}
        }
        let external = connection.reply.dst;
        if !self.pool(entry).any(|addr| addr == *external.ip()) {
            return Err(Reason::External);
        }
        let shared = entry.mapping == Mapping::AddressAndPortDependent as u8;
        let ports = self.desired.port_sets.get(entry.port_set as usize);
        // A port that is not handed out serves this connection alone: the host may use it towards others.
        let own = !shared && ports.is_some_and(|set| set.binary_search(&external.port()).is_ok());
        Ok(Some(Adoption {
            in_key: self.key(connection.protocol, connection.reply)?,
            client: src.ip().octets(),
            client_port: src.port(),
            state: state(connection, false),
            origin: u8::from(own) * origin::OWN_PORT,
            idle: self.idle(state(connection, false), connection.timeout),
            filtering: entry.filtering,
            zero: [0; 3],
        }))
    }

    fn opened_outside(&self, connection: &Connection) -> Result<Option<Adoption>, Reason> {
        let Tuple { src, dst } = connection.original;
        let client = connection.reply.src;
        let (source, destination) = translated(connection);
        if !destination {
            let external = connection.reply.dst;
            let ours = source && !self.local.contains(src.ip());
            return if ours && self.hands_out(*external.ip(), external.port()) {
                Err(Reason::Source)
            } else {
                Ok(None)
            };
        }
        let is_client = self.entry(*client.ip()).is_some() && !self.local.contains(client.ip());
        if !is_client {
            return Ok(None);
        }
        if source {
            return Err(Reason::Both);
        }
        let in_key = self.key(connection.protocol, connection.original)?;
        let outer = MappingKey {
            addr: dst.ip().octets(),
            peer: [0; 4],
            port: dst.port(),
            protocol: in_key.protocol,
            kind: MappingKind::Outer,
        };
        let forward = self.desired.forwards.get(&outer);
        let forward = forward
            .filter(|to| (to.addr, to.port) == (client.ip().octets(), client.port()))
            .ok_or(Reason::NoForward)?;
        Ok(Some(Adoption {
            in_key,
            client: forward.addr,
            client_port: forward.port,
            state: state(connection, true),
            origin: origin::OUTSIDE,
            idle: self.idle(state(connection, true), connection.timeout),
            filtering: forward.filtering,
            zero: [0; 3],
        }))
    }

    /// The flow table's key of a packet that comes in with this tuple.
    fn key(&self, number: u8, Tuple { src, dst }: Tuple) -> Result<FlowKey, Reason> {
        let lite = self.desired.settings.protocols & protocols::UDP_LITE != 0;
        let protocol = match number {
            protocol::ICMP => Protocol::Icmp,
            protocol::TCP => Protocol::Tcp,
            protocol::UDP => Protocol::Udp,
            protocol::UDP_LITE if lite => Protocol::UdpLite,
            _ => return Err(Reason::Protocol),
        };
        Ok(FlowKey {
            src: src.ip().octets(),
            dst: dst.ip().octets(),
            src_port: src.port(),
            dst_port: dst.port(),
            protocol,
            number: 0,
            zero: [0; 2],
        })
    }

    fn entry(&self, addr: Ipv4Addr) -> Option<&SnatEntry> {
        let found = longest(&self.desired.sources, addr, |(prefix, _)| *prefix);
        self.desired.entries.get(found?.1 as usize)
    }

    /// The external addresses of an entry.
    fn pool(&self, entry: &SnatEntry) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let (first, len) = (usize::from(entry.pool_first), usize::from(entry.pool_len));
        let pool = self.desired.pool.iter().skip(first).take(len);
        pool.flat_map(|addr| {
            let own = self.host.interfaces.iter().map(|interface| interface.addr);
            let addrs: Vec<_> = match addr {
                [0, 0, 0, 0] => own.collect(),
                addr => vec![*addr],
            };
            addrs.into_iter().map(Ipv4Addr::from)
        })
    }

    /// For how long a flow counts as idle that has `left` seconds: it has as many of its timeout, as far as that goes.
    fn idle(&self, state: State, left: u32) -> u32 {
        let timeout = self.desired.settings.timeouts.get(state as usize);
        let left = (u64::from(left) * 1_000_000_000) >> TICK_SHIFT;
        u64::from(*timeout.unwrap_or(&0)).saturating_sub(left) as u32
    }

    /// Whether what comes to this port is ours to answer.
    fn hands_out(&self, addr: Ipv4Addr, port: u16) -> bool {
        let sets = self.desired.externals.get(&addr.octets());
        let mut of_address = self.desired.port_sets.iter().enumerate();
        sets.is_some_and(|sets| {
            of_address
                .any(|(index, set)| sets >> index & 1 != 0 && set.binary_search(&port).is_ok())
        })
    }
}

/// Whether the kernel translates its source, and its destination.
fn translated(connection: &Connection) -> (bool, bool) {
    let Connection {
        original, reply, ..
    } = connection;
    (reply.dst != original.src, reply.src != original.dst)
}

fn longest<T>(all: &[T], addr: Ipv4Addr, prefix: impl Fn(&T) -> Prefix) -> Option<&T> {
    let within = |prefix: Prefix| {
        let mask = u32::MAX.checked_shl(32 - prefix.len).unwrap_or_default();
        (u32::from(addr) ^ u32::from_be_bytes(prefix.addr)) & mask == 0
    };
    all.iter()
        .filter(|one| within(prefix(one)))
        .max_by_key(|one| prefix(one).len)
}

fn is_multicast(addr: Ipv4Addr) -> bool {
    addr.is_multicast() || addr.is_broadcast()
}

/// `from_outside`: the opener is not the client.
fn state(connection: &Connection, from_outside: bool) -> State {
    let Some(Tcp {
        state,
        closed_by_opener,
    }) = connection.tcp
    else {
        return match connection.protocol {
            protocol::ICMP => State::IcmpEcho,
            _ => State::Udp,
        };
    };
    match state {
        TcpState::SynSent if from_outside => State::TcpSynReceived,
        TcpState::SynSent | TcpState::SynSent2 => State::TcpSynSent,
        TcpState::SynReceived | TcpState::Established => State::TcpEstablished,
        TcpState::FinWait | TcpState::CloseWait if closed_by_opener != from_outside => {
            State::TcpFinOut
        }
        TcpState::FinWait | TcpState::CloseWait => State::TcpFinIn,
        TcpState::LastAck | TcpState::TimeWait => State::TcpClosing,
        TcpState::Close => State::TcpReset,
    }
}
