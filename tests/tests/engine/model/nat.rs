//! A NAT as the requirements have it: lists of flows and mappings, nothing clever.
//!
//! Where the requirements leave a choice (which port, which address of a pool), it is told what was chosen, and
//! says whether that was allowed.

use std::collections::HashMap;

use snat_common::{
    Addr, Protocol, State, Verdict,
    life::GRACE,
    settings::{Filtering, Mapping as Mode},
};

use super::{
    rules::{Rules, has_ports, is_static_to, keeps},
    tcp::{Segment, after},
};
use crate::frames::Endpoint;

/// A packet, as far as a NAT cares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) protocol: Protocol,
    pub(super) src: Endpoint,
    pub(super) dst: Endpoint,
    pub(super) segment: Segment,
    /// An echo reply.
    pub(super) reply: bool,
}

impl Packet {
    fn opens(&self) -> bool {
        match self.protocol {
            Protocol::Tcp => self.segment == Segment::Syn,
            _ => !self.reply,
        }
    }
}

/// What was seen to happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    /// The source it was given, if it was given one.
    pub(super) source: Option<Endpoint>,
    /// The mapping that the client's endpoint has now.
    pub(super) mapping: Option<Endpoint>,
}

#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) client: Endpoint,
    pub(super) state: State,
    pub(super) last: u32,
    /// The port is its client endpoint's own.
    pub(super) mapped: bool,
    pub(super) from_outside: bool,
    /// The server's address may speak to it from any port.
    pub(super) permits: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) client: Endpoint,
    pub(super) filtering: Filtering,
    pub(super) fixed: bool,
    /// When nobody used it any more.
    pub(super) free_since: u32,
}

/// Protocol, server, external endpoint.
pub(super) type Way = (Protocol, Endpoint, Endpoint);
type Outside = (Protocol, Endpoint);

#[derive(Default)]
pub(super) struct Nat {
    pub(super) rules: Rules,
    pub(super) clock: u32,
    pub(super) flows: HashMap<Way, Flow>,
    /// By client endpoint and server.
    ways: HashMap<Way, Endpoint>,
    pub(super) mappings: HashMap<Outside, Owned>,
    pub(super) owners: HashMap<Outside, Endpoint>,
    /// Since when nobody needs a server's permission: protocol, external endpoint, server's address.
    pub(super) permissions: HashMap<(Protocol, Endpoint, Addr), u32>,
    paired: HashMap<Addr, Addr>,
    /// When each client was let open a flow.
    opened: HashMap<Addr, Vec<u32>>,
}

impl Nat {
    /// Enters a mapping of the configuration.
    pub(super) fn forward(&mut self, protocol: Protocol, external: Endpoint, client: Endpoint) {
        let owned = Owned {
            client,
            filtering: Filtering::EndpointIndependent,
            fixed: true,
            free_since: 0,
        };
        self.mappings.insert((protocol, external), owned);
        self.owners.insert((protocol, client), external);
    }

    /// A client's packet: the external endpoint that it leaves from, or what else becomes of it.
    pub(super) fn outbound(&mut self, packet: &Packet, seen: &Seen) -> Result<Endpoint, Verdict> {
        let Packet {
            protocol, src, dst, ..
        } = *packet;
        if let Some(external) = self.ways.get(&(protocol, dst, src)).copied()
            && self.follow((protocol, dst, external), packet, true)
        {
            return Ok(external);
        }
        let ours = self.rules.is_external(dst.0);
        if ours && !(speaks_to_ports(protocol) && self.is_live(protocol, dst)) {
            return Err(Verdict::NotForwarded);
        }
        if !packet.opens() {
            return Err(match protocol {
                Protocol::Tcp => Verdict::TcpNoFlow,
                _ => Verdict::IcmpType,
            });
        }
        self.admit(src.0, seen)?;
        if !has_ports(protocol) {
            let external = (self.pair(src.0, seen), 0);
            if self.is_taken((protocol, dst, external)) {
                return Err(Verdict::ProtocolTaken);
            }
            self.open((protocol, dst, external), src, false, false);
            return Ok(external);
        }
        if self.rules.mode != Mode::AddressAndPortDependent {
            let own = self.own(protocol, src, seen);
            if let Some(external) = own {
                if !self.is_taken((protocol, dst, external)) {
                    self.open((protocol, dst, external), src, true, false);
                    return Ok(external);
                }
                self.let_go((protocol, external));
                self.let_in_no_more((protocol, external, dst.0), self.rules.filtering);
            }
            if self.rules.mode == Mode::EndpointIndependent {
                return Err(Verdict::PortsExhausted);
            }
        }
        self.shared(protocol, src, dst, seen)
    }

    /// A packet from outside: the client that it reaches, or what else becomes of it.
    pub(super) fn inbound(&mut self, packet: &Packet, seen: &Seen) -> Result<Endpoint, Verdict> {
        let Packet {
            protocol, src, dst, ..
        } = *packet;
        let way = (protocol, src, dst);
        if self.follow(way, packet, false) {
            return Ok(self.flows[&way].client);
        }
        let nobody = if self.rules.is_own(dst.0) {
            Verdict::NotOurs
        } else {
            Verdict::NoMapping
        };
        if !speaks_to_ports(protocol) {
            return Err(nobody);
        }
        let live = self.is_live(protocol, dst);
        if !live && !self.rules.is_handed_out(dst) {
            return Err(nobody);
        }
        if !packet.opens() {
            return Err(Verdict::StrayIn);
        }
        if !live {
            return Err(Verdict::Unsolicited);
        }
        let owned = self.mappings[&(protocol, dst)].clone();
        let permitted = match owned.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => self.permitted(protocol, dst, src.0) != 0,
            Filtering::AddressAndPortDependent => false,
        };
        if !permitted {
            return Err(Verdict::Filtered);
        }
        self.admit(owned.client.0, seen)?;
        if self.is_taken(way) {
            self.let_in_no_more((protocol, dst, src.0), owned.filtering);
            // Past its timeout, and not to be removed yet.
            return Err(Verdict::FlowVanishing);
        }
        // One pair of endpoints inside is one flow.
        if self.ways.contains_key(&(protocol, src, owned.client)) {
            self.let_in_no_more((protocol, dst, src.0), owned.filtering);
            self.let_go((protocol, dst));
            return Err(Verdict::FlowVanishing);
        }
        self.open(way, owned.client, true, true);
        Ok(owned.client)
    }

    /// What each client was let open does not count any more.
    pub(super) fn forget_rates(&mut self) {
        self.opened.clear();
    }

    /// As the daemon does now and then: what is over is removed.
    pub(super) fn sweep(&mut self) {
        let over: Vec<Way> = self.flows.keys().copied().collect();
        for way in over {
            if self.is_over(&self.flows[&way]) {
                self.close(way);
            }
        }
        let mappings: Vec<Outside> = self.mappings.keys().copied().collect();
        for outside in mappings {
            if self.has_rested(outside) {
                self.unmap(outside);
            }
        }
        let (now, rest) = (self.clock, self.rules.rest);
        let flows = &self.flows;
        self.permissions.retain(|key, since| {
            users_of_permission(flows, *key) != 0 || now.wrapping_sub(*since) <= rest
        });
    }

    /// Flows of a client, the expired among them.
    pub(super) fn flows_of(&self, client: Addr) -> usize {
        let mut flows = self.flows.values();
        flows
            .by_ref()
            .filter(|flow| flow.client.0 == client)
            .count()
    }

    /// Flows that hold a mapping.
    pub(super) fn users(&self, (protocol, external): Outside) -> usize {
        let of_it = |way: &Way, flow: &Flow| (way.0, way.2) == (protocol, external) && flow.mapped;
        self.flows
            .iter()
            .filter(|(way, flow)| of_it(way, flow))
            .count()
    }

    /// Flows that hold a permission.
    pub(super) fn permitted(&self, protocol: Protocol, external: Endpoint, server: Addr) -> usize {
        users_of_permission(&self.flows, (protocol, external, server))
    }

    /// Whether the packet has a flow that lives, or that it revives; that goes on with it.
    fn follow(&mut self, way: Way, packet: &Packet, inside: bool) -> bool {
        let now = self.clock;
        let Some(flow) = self.flows.get_mut(&way) else {
            return false;
        };
        if now.wrapping_sub(flow.last) > self.rules.timeouts[flow.state as usize] {
            if !packet.opens() || !(inside || flow.from_outside) {
                return false;
            }
            flow.state = first(way.0, !inside);
        } else if way.0 == Protocol::Tcp {
            flow.state = after(flow.state, inside, packet.segment);
        }
        flow.last = now;
        true
    }

    /// RFC 6888 REQ-4: as many flows as a client may have, and as many a second.
    fn admit(&mut self, client: Addr, seen: &Seen) -> Result<(), Verdict> {
        let Rules { limit, rate, .. } = self.rules;
        if limit != 0 && self.flows_of(client) >= limit as usize {
            return Err(Verdict::SourceLimit);
        }
        if rate == 0 {
            return Ok(());
        }
        let now = self.clock;
        let opened = self.opened.entry(client).or_default();
        opened.retain(|then| now.wrapping_sub(*then) < 60);
        if seen.verdict == Verdict::SourceRate {
            assert!(
                opened.len() as u32 + 1 >= rate,
                "{} of {rate}",
                opened.len()
            );
            return Err(Verdict::SourceRate);
        }
        opened.push(now);
        assert!(
            opened.len() as u32 <= rate * 2 + 1,
            "{} of {rate}",
            opened.len()
        );
        Ok(())
    }

    /// The external endpoint that is the client's own, if there is one (RFC 4787 REQ-1).
    fn own(&mut self, protocol: Protocol, client: Endpoint, seen: &Seen) -> Option<Endpoint> {
        if let Some(external) = self.owners.get(&(protocol, client)) {
            return Some(*external);
        }
        let ports = self.rules.ports(client.0);
        let Some(external) = seen.mapping else {
            let addr = self.pair(client.0, seen);
            for port in ports {
                let taken = self.mappings.contains_key(&(protocol, (addr, port)));
                assert!(
                    taken,
                    "{client:?} got no port of its own, but {port} is free"
                );
            }
            return None;
        };
        assert_eq!(
            external.0,
            self.pair(client.0, seen),
            "{client:?} is paired"
        );
        self.is_wanted(protocol, client, external, |nat, port| {
            nat.mappings.contains_key(&(protocol, (external.0, port)))
        });
        let outside = (protocol, external);
        if self.mappings.contains_key(&outside) {
            assert!(self.has_rested(outside), "{outside:?} has not rested");
            self.unmap(outside);
        }
        let owned = Owned {
            client,
            filtering: self.rules.filtering,
            fixed: false,
            free_since: self.clock,
        };
        self.mappings.insert(outside, owned);
        self.owners.insert((protocol, client), external);
        Some(external)
    }

    /// A port that is free towards one destination.
    fn shared(
        &mut self,
        protocol: Protocol,
        client: Endpoint,
        server: Endpoint,
        seen: &Seen,
    ) -> Result<Endpoint, Verdict> {
        let Some(external) = seen.source else {
            let addr = self.pair(client.0, seen);
            for port in self.rules.ports(client.0) {
                let taken = self.flows.contains_key(&(protocol, server, (addr, port)));
                assert!(taken, "{client:?} was refused, but {port} is free");
            }
            return Err(Verdict::PortsExhausted);
        };
        assert_eq!(
            external.0,
            self.pair(client.0, seen),
            "{client:?} is paired"
        );
        self.is_wanted(protocol, client, external, |nat, port| {
            nat.flows
                .contains_key(&(protocol, server, (external.0, port)))
        });
        assert!(
            !self.is_taken((protocol, server, external)),
            "{external:?} was taken"
        );
        self.open((protocol, server, external), client, false, false);
        Ok(external)
    }

    /// Class and parity are kept while a port is free that has them (RFC 4787 REQ-3a, REQ-4).
    fn is_wanted(
        &self,
        protocol: Protocol,
        client: Endpoint,
        external: Endpoint,
        taken: impl Fn(&Self, u16) -> bool,
    ) {
        let ports = self.rules.ports(client.0);
        assert!(ports.contains(&external.1), "{external:?} is of no set");
        if !keeps(protocol, client.1, external.1) {
            let better = ports
                .into_iter()
                .find(|port| keeps(protocol, client.1, *port) && !taken(self, *port));
            assert_eq!(better, None, "{client:?} got {external:?}");
        }
    }

    /// A client keeps its external address (RFC 4787 REQ-2, RFC 6888 REQ-2).
    fn pair(&mut self, client: Addr, seen: &Seen) -> Addr {
        let pool = self.rules.pool(client);
        let chosen = seen.source.or(seen.mapping).map(|(addr, _)| addr);
        let chosen = chosen.or_else(|| (pool.len() == 1).then(|| pool[0]));
        let paired = self.paired.get(&client).copied().or(chosen);
        let addr = paired.expect("nothing is refused a client whose address was never seen");
        assert!(pool.contains(&addr), "{addr:?} is not of the pool");
        self.paired.insert(client, addr);
        addr
    }

    /// Whether a flow stands there; one that is over goes.
    fn is_taken(&mut self, way: Way) -> bool {
        match self.flows.get(&way) {
            Some(flow) if self.is_over(flow) => {
                self.close(way);
                false
            }
            flow => flow.is_some(),
        }
    }

    fn open(&mut self, way: Way, client: Endpoint, mapped: bool, from_outside: bool) {
        let (protocol, server, external) = way;
        let permits = mapped
            && self.mappings[&(protocol, external)]
                .filtering_of(from_outside, self.rules.filtering)
                == Filtering::AddressDependent;
        let flow = Flow {
            client,
            state: first(protocol, from_outside),
            last: self.clock,
            mapped,
            from_outside,
            permits,
        };
        if permits {
            let key = (protocol, external, server.0);
            self.permissions.insert(key, self.clock);
        }
        self.flows.insert(way, flow);
        self.ways.insert((protocol, server, client), external);
    }

    fn close(&mut self, way: Way) {
        let (protocol, server, external) = way;
        let flow = self.flows.remove(&way).expect("it is there");
        self.ways.remove(&(protocol, server, flow.client));
        if flow.mapped {
            self.let_go((protocol, external));
        }
        if flow.permits {
            let key = (protocol, external, server.0);
            self.permissions.insert(key, self.clock);
        }
    }

    fn let_go(&mut self, outside: Outside) {
        if let Some(owned) = self.mappings.get_mut(&outside) {
            owned.free_since = self.clock;
        }
    }

    /// The permission for a flow that could not be had stays a while, like its mapping.
    fn let_in_no_more(&mut self, key: (Protocol, Endpoint, Addr), filtering: Filtering) {
        if filtering == Filtering::AddressDependent {
            self.permissions.insert(key, self.clock);
        }
    }

    fn unmap(&mut self, outside: Outside) {
        let owned = self.mappings.remove(&outside).expect("it is there");
        self.owners.remove(&(outside.0, owned.client));
    }

    fn is_over(&self, flow: &Flow) -> bool {
        let timeout = self.rules.timeouts[flow.state as usize];
        self.clock.wrapping_sub(flow.last) > timeout + GRACE
    }

    /// RFC 6888 REQ-8.
    fn has_rested(&self, outside: Outside) -> bool {
        let owned = &self.mappings[&outside];
        !owned.fixed
            && self.users(outside) == 0
            && self.clock.wrapping_sub(owned.free_since) > self.rules.rest
    }

    fn is_live(&self, protocol: Protocol, external: Endpoint) -> bool {
        let outside = (protocol, external);
        is_static_to(&self.mappings, outside)
            || (self.mappings.contains_key(&outside) && self.users(outside) != 0)
    }
}

impl Owned {
    /// A client's flow is under its entry's rules, one from outside under the mapping's.
    fn filtering_of(&self, from_outside: bool, entry: Filtering) -> Filtering {
        if from_outside { self.filtering } else { entry }
    }
}

fn users_of_permission(
    flows: &HashMap<Way, Flow>,
    (protocol, external, server): (Protocol, Endpoint, Addr),
) -> usize {
    let holds = |way: &Way, flow: &Flow| {
        (way.0, way.1.0, way.2) == (protocol, server, external) && flow.permits
    };
    flows.iter().filter(|(way, flow)| holds(way, flow)).count()
}

/// The state of a flow's first packet.
fn first(protocol: Protocol, from_outside: bool) -> State {
    match protocol {
        Protocol::Icmp => State::IcmpEcho,
        Protocol::Tcp if from_outside => State::TcpSynReceived,
        Protocol::Tcp => State::TcpSynSent,
        Protocol::Udp => State::Udp,
        _ => State::Other,
    }
}

fn speaks_to_ports(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Tcp | Protocol::Udp)
}
