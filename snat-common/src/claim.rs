//! A new flow: its external address and port, and its two entries.
//!
//! Inserting the `In` entry is the claim: the key has everything that makes a reply unambiguous, so a port can
//! serve any number of destinations, and of two CPUs that want the same one the map lets one in. Where the
//! mapping is endpoint-independent, the port is the endpoint's own first ([`crate::mappings`]), and the claim
//! can only be lost to a flow that shares the port because none was left for it.

use crate::{
    checksum, clients,
    env::{Env, Insert, Step},
    event::Event,
    flow::{Direction, FlowKey},
    held::Held,
    life, log,
    mapping::hold,
    mappings, next_hop, place, ports, recycle,
    settings::{Filtering, Mapping},
    verdict::Verdict,
    work::Work,
};

/// Opens the flow that was granted, and enters both directions.
///
/// [`Verdict::TranslatedOut`] says that the flow is there; everything else is why it is not.
#[inline(never)]
pub fn claim<E: Env>(env: &E, work: &mut Work, now: u32) -> Verdict {
    work.now = now;
    work.in_key = work.packet;
    work.out_key = work.packet;
    work.holds = 0;
    work.elsewhere = 0;
    work.last_seen = now;
    work.state = life::first_state(work.packet.protocol, work.grant.from_outside != 0);
    if work.grant.from_outside == 0 {
        life::make_way(env, &work.packet, now);
    }
    let admitted = clients::enter(env, work);
    if admitted != Verdict::TranslatedOut {
        return admitted;
    }
    let end = if work.grant.from_outside == 0 {
        go_out(env, work)
    } else {
        let_in(env, work)
    };
    if end == Verdict::TranslatedOut && work.elsewhere == 0 {
        return enter_out(env, work);
    }
    life::give_back(env, &work.in_key, work.holds, work.grant.client, now);
    end
}

/// A packet from outside that a mapping and its filtering let in: the port is the client's already.
#[inline(never)]
pub(crate) fn let_in<E: Env>(env: &E, work: &mut Work) -> Verdict {
    let FlowKey {
        src,
        src_port,
        dst,
        dst_port,
        protocol,
        ..
    } = work.packet;
    work.out_key.src = work.grant.client;
    work.out_key.src_port = work.grant.client_port;
    work.out_key.dst = src;
    work.out_key.dst_port = src_port;
    work.holds |= hold::FROM_OUTSIDE;
    work.outer = mappings::outer_key(dst, dst_port, protocol);
    let Some(mapping) = env.mapping(&work.outer) else {
        return Verdict::Unsolicited;
    };
    work.filtering = mapping.filtering();
    if !mapping.held().acquire() {
        return Verdict::FlowVanishing;
    }
    work.holds |= hold::MAPPING;
    match enter_mapped(env, work) {
        Verdict::PortsExhausted => Verdict::FlowVanishing,
        end => end,
    }
}

/// A client's packet.
#[inline(never)]
fn go_out<E: Env>(env: &E, work: &mut Work) -> Verdict {
    if !place::find(env, work) {
        return Verdict::PortsExhausted;
    }
    if !work.packet.protocol.has_ports() {
        return match enter_in(env, work) {
            Verdict::PortsExhausted => Verdict::ProtocolTaken,
            end => end,
        };
    }
    if work.mapping_mode != Mapping::AddressAndPortDependent as u8 {
        let mut end = map(env, work);
        if end == Verdict::TranslatedOut && env.has_socket(&work.in_key) {
            // The host speaks to that very server by that very port.
            end = Verdict::PortsExhausted;
        } else if end == Verdict::TranslatedOut {
            end = enter_mapped(env, work);
        }
        if !matches!(end, Verdict::PortsExhausted | Verdict::TableFull) {
            return end;
        }
        // A flow that shares the port may have it towards this destination.
        unmap(env, work);
        if work.mapping_mode == Mapping::EndpointIndependent as u8 {
            return end;
        }
        env.event(Event::PortShared);
    }
    share(env, work)
}

/// Gets the client's endpoint its own external port: the one it has, or a new one.
#[inline(never)]
fn map<E: Env>(env: &E, work: &mut Work) -> Verdict {
    if !mappings::acquire(env, work) {
        work.outer.addr = work.in_key.dst;
        work.mapped = 1;
        work.busy = mappings::busy_altogether(work.in_key.dst, work.in_key.protocol);
        work.mapping.held = Held::by(1, work.now);
        work.mapping.addr = work.packet.src;
        work.mapping.port = work.packet.src_port;
        work.mapping.filtering = work.filtering;
        work.mapping.is_static = 0;
        let end = ports::search(env, work);
        if end != Verdict::TranslatedOut {
            return end;
        }
        // Or another CPU mapped the endpoint at the same time: its mapping is the one.
        if !mappings::confirm(env, work) && !mappings::acquire(env, work) {
            return Verdict::FlowVanishing;
        }
    }
    work.holds |= hold::MAPPING;
    work.in_key.dst = work.outer.addr;
    work.in_key.dst_port = work.outer.port;
    Verdict::TranslatedOut
}

/// Claims a port that is free towards this destination.
#[inline(never)]
fn share<E: Env>(env: &E, work: &mut Work) -> Verdict {
    work.mapped = 0;
    work.busy = mappings::busy_towards(&work.in_key);
    new_entry(env, work, Direction::In);
    work.entry.addr = work.packet.src;
    work.entry.port = work.packet.src_port;
    work.entry.addr_delta = checksum::addr_delta(work.in_key.dst, work.packet.src);
    ports::search(env, work)
}

/// Gives back a mapping that the flow can't have.
#[inline(always)]
fn unmap<E: Env>(env: &E, work: &mut Work) {
    let holds = work.holds & (hold::MAPPING | hold::PERMISSION);
    life::give_back(env, &work.in_key, holds, work.grant.client, work.now);
    work.holds &= !holds;
}

/// Enters the `In` direction of a flow whose port is its client's own.
#[inline(always)]
pub(crate) fn enter_mapped<E: Env>(env: &E, work: &mut Work) -> Verdict {
    if work.filtering == Filtering::AddressDependent as u8 {
        let FlowKey {
            src,
            dst,
            dst_port,
            protocol,
            ..
        } = work.in_key;
        work.permission = mappings::permission_key(dst, dst_port, protocol, src);
        // Without room for it the server may answer from the port it was asked at, and from no other.
        if mappings::permit(env, work) {
            work.holds |= hold::PERMISSION;
        }
    }
    enter_in(env, work)
}

/// Enters the `In` direction under a key that is already decided. [`Verdict::PortsExhausted`]: another flow
/// has it.
#[inline(never)]
pub(crate) fn enter_in<E: Env>(env: &E, work: &mut Work) -> Verdict {
    new_entry(env, work, Direction::In);
    let (client, client_port) = (work.grant.client, work.grant.client_port);
    work.entry.addr = client;
    work.entry.port = client_port;
    work.entry.addr_delta = checksum::addr_delta(work.in_key.dst, client);
    work.entry.port_delta = checksum::port_delta(work.in_key.dst_port, client_port);
    let mut inserted = env.insert(&work.in_key, &work.entry);
    if inserted == Insert::Exists && life::bury(env, &work.in_key, work.now, false) {
        inserted = env.insert(&work.in_key, &work.entry);
    }
    match inserted {
        Insert::Done => return Verdict::TranslatedOut,
        Insert::Full => return Verdict::TableFull,
        Insert::Exists => {}
    }
    // One that has expired, and is not to be removed yet, is nobody's.
    let same = env.flow(&work.in_key).is_some_and(|flow| {
        flow.target() == (client, client_port) && !life::is_idle(env, flow.life(), work.now)
    });
    if !same {
        return Verdict::PortsExhausted;
    }
    work.elsewhere = 1;
    wait(env, work)
}

/// Looks made for the other entry of a flow that another CPU is between entering: some 50 us.
const PATIENCE: u32 = 1024;

#[inline(always)]
fn wait<E: Env>(env: &E, work: &mut Work) -> Verdict {
    work.end = Verdict::FlowVanishing as u8;
    env.repeat(PATIENCE, &mut Wait { env, work });
    if work.end == Verdict::TranslatedOut as u8 {
        Verdict::TranslatedOut
    } else {
        Verdict::FlowVanishing
    }
}

struct Wait<'a, E> {
    env: &'a E,
    work: &'a mut Work,
}

impl<E: Env> Step for Wait<'_, E> {
    #[inline(always)]
    fn turn(&mut self, _index: u32) -> bool {
        if self.env.flow(&self.work.out_key).is_none() {
            return false;
        }
        self.work.end = Verdict::TranslatedOut as u8;
        true
    }
}

/// Enters the `Out` direction of a claimed flow; gives the claim back where that fails.
#[inline(never)]
pub(crate) fn enter_out<E: Env>(env: &E, work: &mut Work) -> Verdict {
    new_entry(env, work, Direction::Out);
    let FlowKey { dst, dst_port, .. } = work.in_key;
    work.entry.addr = dst;
    work.entry.port = dst_port;
    work.entry.addr_delta = checksum::addr_delta(work.grant.client, dst);
    work.entry.port_delta = checksum::port_delta(work.grant.client_port, dst_port);
    if let Some(shared) = env.shared() {
        shared.add_flows(1);
    }
    env.event(Event::FlowOpened);
    let inserted = env.insert(&work.out_key, &work.entry);
    if inserted == Insert::Done {
        if work.holds & hold::FROM_OUTSIDE != 0 {
            env.event(Event::FlowLetIn);
        }
        let client = (work.grant.client, work.grant.client_port);
        log::flow(env, log::Kind::FlowOpened, &work.in_key, work.holds, client);
        recycle::remember(env, &work.in_key);
        return Verdict::TranslatedOut;
    }
    // If it is still there, the sweep ends it as it ends any flow.
    if env.remove(&work.in_key) {
        env.event(Event::RemovedUndone);
        life::flow_gone(env, &work.in_key, work.holds, work.grant.client, work.now);
    }
    match inserted {
        Insert::Exists if work.grant.from_outside == 0 => {
            // Another CPU opened the same flow at the same time: its mapping is the one.
            Verdict::TranslatedOut
        }
        // The client speaks to that server already, by another port of ours.
        Insert::Exists => Verdict::FlowVanishing,
        _ => Verdict::TableFull,
    }
}

/// What is the same in every new entry.
#[inline(always)]
fn new_entry<E: Env>(env: &E, work: &mut Work, direction: Direction) {
    let (now, holds, last_seen, state) = (work.now, work.holds, work.last_seen, work.state);
    let generation = env
        .settings()
        .map_or(0, |settings| next_hop::generation(settings, now));
    let entry = &mut work.entry;
    entry.last_seen = last_seen;
    entry.created = now;
    entry.state = state;
    entry.direction = direction;
    entry.mtu = 0;
    // Never the current one, so that the first packet asks for the route.
    entry.generation = generation.wrapping_sub(1);
    entry.next_hop = [0; 6];
    entry.egress = 0;
    entry.holds = holds;
    entry.packets = 0;
    entry.bytes = 0;
}
